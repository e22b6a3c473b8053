// The narrowed, deterministic CBOR of docs/protocol.md section 3: one pass from left to right that checks and
// reads, and reports the first fault met. Nothing is reserved ahead of the bytes that are there.

import { ProtocolFault, type CborFaultName } from './fault';
import { CBOR_DEPTH_MAX, INTEGER_MAX } from './limits';

export type CborMap = ReadonlyMap<number, CborValue>;
export type CborValue = number | boolean | null | string | Uint8Array | readonly CborValue[] | CborMap;

const MAJOR_UNSIGNED = 0;
const MAJOR_NEGATIVE = 1;
const MAJOR_BYTES = 2;
const MAJOR_TEXT = 3;
const MAJOR_ARRAY = 4;
const MAJOR_MAP = 5;
const MAJOR_TAG = 6;

// A byte order mark is text like any other: a decoder that swallowed it would not give back what was sent.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();

function fail(fault: CborFaultName, at: number): never {
  throw new ProtocolFault(fault, `at byte ${at} of the payload`);
}

class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  payload(): CborMap {
    const first = this.bytes[0];
    if (first === undefined) fail('truncated', 0);
    if (first >> 5 !== MAJOR_MAP) fail('not_a_map', 0);
    const value = this.item(0) as CborMap;
    if (this.at !== this.bytes.length) fail('trailing', this.at);
    return value;
  }

  /** `depth` is how many arrays and maps are open around this item. */
  private item(depth: number): CborValue {
    const start = this.at;
    const first = this.bytes[start];
    if (first === undefined) fail('truncated', start);
    const major = first >> 5;
    const argument = this.argument(first & 0x1f, start);

    if (major >= MAJOR_TAG) {
      switch (first) {
        case 0xf4:
          return false;
        case 0xf5:
          return true;
        case 0xf6:
          return null;
        default:
          fail('forbidden_type', start);
      }
    }
    if (!isShortest(first & 0x1f, argument)) fail('not_shortest', start);

    switch (major) {
      case MAJOR_UNSIGNED:
        if (argument > INTEGER_MAX) fail('integer_range', start);
        return argument;
      case MAJOR_NEGATIVE:
        if (argument > INTEGER_MAX - 1) fail('integer_range', start);
        return -1 - argument;
      case MAJOR_BYTES:
        return this.body(argument).slice();
      case MAJOR_TEXT: {
        const body = this.body(argument);
        try {
          return utf8.decode(body);
        } catch {
          return fail('bad_text', start);
        }
      }
      case MAJOR_ARRAY: {
        if (depth >= CBOR_DEPTH_MAX) fail('too_deep', start);
        const items: CborValue[] = [];
        // A count beyond the bytes ends as `truncated` within as many steps as there are bytes.
        for (let n = 0; n < argument; n++) items.push(this.item(depth + 1));
        return items;
      }
      default: {
        if (depth >= CBOR_DEPTH_MAX) fail('too_deep', start);
        return this.map(argument, depth);
      }
    }
  }

  private map(count: number, depth: number): CborMap {
    const map = new Map<number, CborValue>();
    let previous = -1;
    for (let n = 0; n < count; n++) {
      const start = this.at;
      const first = this.bytes[start];
      if (first === undefined) fail('truncated', start);
      if (first >> 5 !== MAJOR_UNSIGNED) fail('bad_key', start);
      const key = this.item(depth + 1) as number;
      if (key <= previous) fail('key_order', start);
      previous = key;
      map.set(key, this.item(depth + 1));
    }
    return map;
  }

  /** Reads the argument of a head. Beyond 2^53 it loses its low bits, and every caller refuses it anyway. */
  private argument(info: number, start: number): number {
    if (info >= 28 && info <= 30) fail('forbidden_type', start);
    if (info === 31) fail('indefinite', start);
    this.at = start + 1;
    if (info < 24) return info;
    const width = 1 << (info - 24);
    if (this.bytes.length - this.at < width) fail('truncated', start);
    let value = 0;
    for (let n = 0; n < width; n++) value = value * 256 + (this.bytes[this.at + n] ?? 0);
    this.at += width;
    return value;
  }

  private body(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) fail('truncated', this.at);
    const body = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return body;
  }
}

function isShortest(info: number, argument: number): boolean {
  switch (info) {
    case 24:
      return argument >= 24;
    case 25:
      return argument > 0xff;
    case 26:
      return argument > 0xffff;
    case 27:
      return argument > 0xffff_ffff;
    default:
      return true;
  }
}

/** Reads a payload, or throws a `ProtocolFault` that bears one of section 3's names. */
export function decodePayload(bytes: Uint8Array): CborMap {
  return new Reader(bytes).payload();
}

/** The fault of a payload, or null where it has none. */
export function checkPayload(bytes: Uint8Array): CborFaultName | null {
  try {
    decodePayload(bytes);
    return null;
  } catch (error) {
    if (error instanceof ProtocolFault) return error.fault as CborFaultName;
    throw error;
  }
}

/**
 * Writes a payload in the deterministic encoding. What cannot be said in it (a fraction, an integer out of range,
 * too many levels) is a mistake of the caller's and throws a `RangeError`.
 */
export function encodePayload(map: CborMap): Uint8Array {
  const out: number[] = [];
  write(out, map, 0);
  return Uint8Array.from(out);
}

function write(out: number[], value: CborValue, depth: number): void {
  if (value === null) out.push(0xf6);
  else if (value === false) out.push(0xf4);
  else if (value === true) out.push(0xf5);
  else if (typeof value === 'number') writeInteger(out, value);
  else if (typeof value === 'string') {
    const body = utf8Encoder.encode(value);
    writeHead(out, MAJOR_TEXT, body.length);
    for (const byte of body) out.push(byte);
  } else if (value instanceof Uint8Array) {
    writeHead(out, MAJOR_BYTES, value.length);
    for (const byte of value) out.push(byte);
  } else if (depth >= CBOR_DEPTH_MAX) {
    throw new RangeError(`a payload nests at most ${CBOR_DEPTH_MAX} levels`);
  } else if (isArray(value)) {
    writeHead(out, MAJOR_ARRAY, value.length);
    for (const item of value) write(out, item, depth + 1);
  } else {
    const keys = [...value.keys()].sort((a, b) => a - b);
    writeHead(out, MAJOR_MAP, keys.length);
    for (const key of keys) {
      if (!Number.isSafeInteger(key) || key < 0) throw new RangeError(`a key is an unsigned integer, not ${key}`);
      writeHead(out, MAJOR_UNSIGNED, key);
      write(out, value.get(key) ?? null, depth + 1);
    }
  }
}

// `Array.isArray` does not narrow a readonly array out of a union by itself.
function isArray(value: readonly CborValue[] | CborMap): value is readonly CborValue[] {
  return Array.isArray(value);
}

function writeInteger(out: number[], value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError(`a payload holds integers within 2^53, not ${value}`);
  if (value >= 0) writeHead(out, MAJOR_UNSIGNED, value);
  else writeHead(out, MAJOR_NEGATIVE, -1 - value);
}

function writeHead(out: number[], major: number, argument: number): void {
  const top = major << 5;
  if (argument < 24) out.push(top | argument);
  else if (argument <= 0xff) out.push(top | 24, argument);
  else if (argument <= 0xffff) out.push(top | 25, argument >>> 8, argument & 0xff);
  else {
    const high = Math.floor(argument / 0x1_0000_0000);
    if (high > 0) {
      out.push(top | 27);
      writeU32(out, high);
    } else out.push(top | 26);
    writeU32(out, argument >>> 0);
  }
}

function writeU32(out: number[], value: number): void {
  out.push((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}
