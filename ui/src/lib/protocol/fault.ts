// What a receiver refuses a frame or a payload for, under the names of docs/protocol.md.

/** Section 3: what the check of a payload finds. */
export type CborFaultName =
  | 'truncated'
  | 'trailing'
  | 'not_a_map'
  | 'indefinite'
  | 'not_shortest'
  | 'forbidden_type'
  | 'integer_range'
  | 'bad_key'
  | 'key_order'
  | 'too_deep'
  | 'bad_text';

/** Sections 2 and 6: frames that are none, and payloads that are sound but say the wrong thing. */
export type FaultName = CborFaultName | 'malformed' | 'too_large' | 'bad_field' | 'unsupported' | 'wrong_kind';

/** Bytes from a peer that break the protocol: the one thing that decoding throws. */
export class ProtocolFault extends Error {
  readonly fault: FaultName;

  constructor(fault: FaultName, message: string) {
    super(`${fault}: ${message}`);
    this.name = 'ProtocolFault';
    this.fault = fault;
  }
}
