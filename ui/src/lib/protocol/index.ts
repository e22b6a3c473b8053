// The wire, for everybody else in the page.

export { checkPayload, decodePayload, encodePayload } from './cbor';
export { ProtocolFault, type FaultName } from './fault';
export { decodeHeader, decodeMessage, encodeFrame, type Frame } from './frame';
export * from './limits';
export * from './messages';
export * from './registry';
