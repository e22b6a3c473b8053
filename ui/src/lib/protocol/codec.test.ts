// Whatever the bytes, decoding ends soon, with a value or with a named fault; and what is written reads back.

import { describe, expect, it } from 'vitest';
import { checkPayload, decodePayload, encodePayload, type CborValue } from './cbor';
import { ProtocolFault } from './fault';
import { decodeMessage, encodeFrame } from './frame';
import { GATEWAY_MESSAGE_BYTES_MAX, INTEGER_MAX } from './limits';
import { decodeFields } from './fields';
import * as messages from './messages';
import { Kind } from './registry';

/** A small seeded generator (mulberry32): a failure names its seed and comes again. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function randomBytes(random: () => number, max: number): Uint8Array {
  return Uint8Array.from({ length: Math.floor(random() * (max + 1)) }, () => Math.floor(random() * 256));
}

function randomValue(random: () => number, depth: number): CborValue {
  const choice = Math.floor(random() * (depth >= 4 ? 6 : 8));
  const integer = Math.floor(random() ** 4 * INTEGER_MAX);
  switch (choice) {
    case 0:
      return integer;
    case 1:
      return -integer - 1 < -INTEGER_MAX ? -INTEGER_MAX : -integer - 1;
    case 2:
      return random() < 0.5;
    case 3:
      return null;
    case 4:
      return randomBytes(random, 40);
    case 5:
      return ['', 'RL1', '水泵', '\u{feff}x', '🛠'][Math.floor(random() * 5)] ?? '';
    case 6:
      return Array.from({ length: Math.floor(random() * 4) }, () => randomValue(random, depth + 1));
    default:
      return randomMap(random, depth + 1);
  }
}

function randomMap(random: () => number, depth: number): Map<number, CborValue> {
  const entries = Array.from({ length: Math.floor(random() * 5) }, () => Math.floor(random() * 300));
  return new Map([...new Set(entries)].sort((a, b) => a - b).map((key) => [key, randomValue(random, depth)]));
}

const decoders: readonly ((bytes: Uint8Array) => unknown)[] = [
  decodePayload,
  decodeMessage,
  messages.decodeResponse,
  (bytes) => messages.decodeRequest(Kind.event, bytes),
  (bytes) => messages.decodeRequest(Kind.query, bytes),
  (bytes) => decodeFields(messages.statusFull, bytes),
  (bytes) => decodeFields(messages.statusDelta, bytes),
  (bytes) => decodeFields(messages.receiptMessage, bytes),
  (bytes) => decodeFields(messages.toolWelcome, bytes),
];

function expectNamedFaultsOnly(bytes: Uint8Array, seed: number): void {
  for (const decode of decoders) {
    try {
      decode(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolFault)) throw new Error(`seed ${seed}: threw something else`, { cause: error });
    }
  }
}

describe('decoding', () => {
  it('throws nothing but named faults on random bytes', () => {
    for (let seed = 1; seed <= 5_000; seed++) expectNamedFaultsOnly(randomBytes(seeded(seed), 64), seed);
  });

  it('throws nothing but named faults on sound payloads with a byte changed or cut off', () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const random = seeded(seed);
      const bytes = encodePayload(randomMap(random, 1));
      const changed = bytes.slice(0, Math.ceil(random() * bytes.length));
      changed[Math.floor(random() * changed.length)] = Math.floor(random() * 256);
      expectNamedFaultsOnly(changed, seed);
    }
  });

  it('ends at once on counts that promise more than is there', () => {
    const started = performance.now();
    for (const head of ['bb001fffffffffffff', 'a1009b001fffffffffffff', 'a1005b001fffffffffffff', 'a1007b7fffffffffffffff']) {
      expect(checkPayload(Uint8Array.from(Buffer.from(head, 'hex')))).toBe('truncated');
    }
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it('refuses a message above the limit before it looks into it', () => {
    expect(() => decodeMessage(new Uint8Array(GATEWAY_MESSAGE_BYTES_MAX + 1))).toThrow(/too_large/);
  });

  it('refuses a message that ends inside a frame, and an empty one', () => {
    const frame = encodeFrame({ kind: Kind.ping, flags: 0, correlation: 1, source: 0, destination: 2, payload: Uint8Array.of(0xa0) });
    for (let length = 0; length < frame.length; length++) {
      expect(() => decodeMessage(frame.subarray(0, length))).toThrow(/malformed/);
    }
    expect(decodeMessage(Uint8Array.from([...frame, ...frame]))).toHaveLength(2);
  });
});

describe('encoding', () => {
  it('reads back what it wrote, and writes it the same', () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const map = randomMap(seeded(seed), 1);
      const bytes = encodePayload(map);
      const read = decodePayload(bytes);
      expect(read, `seed ${seed}`).toEqual(map);
      expect(encodePayload(read), `seed ${seed}`).toEqual(bytes);
    }
  });

  it('says no to what the profile cannot say', () => {
    for (const value of [0.5, INTEGER_MAX + 1, Number.NaN, [[[[0]]]]] as const) {
      expect(() => encodePayload(new Map([[0, value as CborValue]]))).toThrow(RangeError);
    }
    expect(() => encodePayload(new Map([[-1, 0]]))).toThrow(RangeError);
  });
});
