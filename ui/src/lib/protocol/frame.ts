// The 16-byte header, and the frames of a WebSocket message; docs/protocol.md section 2.

import { ProtocolFault } from './fault';
import { GATEWAY_MESSAGE_BYTES_MAX, HEADER_BYTES, PAYLOAD_BYTES_MAX } from './limits';
import { flagsAllowed, isKind, type Kind } from './registry';

export interface Header {
  kind: Kind;
  flags: number;
  payloadBytes: number;
  correlation: number;
  source: number;
  destination: number;
}

export interface Frame {
  kind: Kind;
  flags: number;
  correlation: number;
  source: number;
  destination: number;
  payload: Uint8Array;
}

/** Reads a header; null while fewer than 16 bytes are there. */
export function decodeHeader(bytes: Uint8Array, payloadBytesMax = PAYLOAD_BYTES_MAX): Header | null {
  const kind = bytes[0];
  const flags = bytes[1];
  // The first two bytes are judged as soon as they are there: what is wrong stays wrong however it goes on.
  if (kind !== undefined && !isKind(kind)) throw new ProtocolFault('malformed', `no kind of frame is ${kind}`);
  if (kind !== undefined && flags !== undefined && (flags & ~flagsAllowed(kind)) !== 0) {
    throw new ProtocolFault('malformed', `flags ${flags} do not stand on kind ${kind}`);
  }
  if (kind === undefined || flags === undefined || bytes.length < HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const payloadBytes = view.getUint16(2);
  if (payloadBytes > payloadBytesMax) throw new ProtocolFault('too_large', `a payload has at most ${payloadBytesMax} bytes`);
  return {
    kind,
    flags,
    payloadBytes,
    correlation: view.getUint32(4),
    source: view.getUint32(8),
    destination: view.getUint32(12),
  };
}

export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  if (frame.payload.length > PAYLOAD_BYTES_MAX) {
    throw new RangeError(`a payload has at most ${PAYLOAD_BYTES_MAX} bytes, not ${frame.payload.length}`);
  }
  const bytes = new Uint8Array(HEADER_BYTES + frame.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, frame.kind);
  view.setUint8(1, frame.flags);
  view.setUint16(2, frame.payload.length);
  view.setUint32(4, frame.correlation);
  view.setUint32(8, frame.source);
  view.setUint32(12, frame.destination);
  bytes.set(frame.payload, HEADER_BYTES);
  return bytes;
}

/** The frames of one binary message: one or more, whole, with nothing left over. */
export function decodeMessage(bytes: Uint8Array): Frame[] {
  if (bytes.length > GATEWAY_MESSAGE_BYTES_MAX) {
    throw new ProtocolFault('too_large', `a message has at most ${GATEWAY_MESSAGE_BYTES_MAX} bytes`);
  }
  const frames: Frame[] = [];
  let at = 0;
  do {
    const rest = bytes.subarray(at);
    const header = decodeHeader(rest);
    if (header === null) throw new ProtocolFault('malformed', 'a message ends inside a header');
    const end = HEADER_BYTES + header.payloadBytes;
    if (rest.length < end) throw new ProtocolFault('malformed', 'a message ends inside a payload');
    const { kind, flags, correlation, source, destination } = header;
    frames.push({ kind, flags, correlation, source, destination, payload: rest.subarray(HEADER_BYTES, end) });
    at += end;
  } while (at < bytes.length);
  return frames;
}
