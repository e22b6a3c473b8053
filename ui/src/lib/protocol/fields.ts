// Fields of a payload by key: one declaration per message says how it is read, checked, typed and written.

import { decodePayload, encodePayload, type CborMap, type CborValue } from './cbor';
import { ProtocolFault } from './fault';
import { INTEGER_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, TITLE_BYTES_MAX } from './limits';

/** One type of field. `read` gives undefined for what is of another type or outside the range. */
export interface Codec<T> {
  read(value: CborValue): T | undefined;
  write(value: T): CborValue;
}

export interface Field<T> {
  key: number;
  read(map: CborMap): T;
  write(value: T, into: Map<number, CborValue>): void;
}

/** The fields of a message by their names; `null` stands for an optional one that is absent. */
export type Shape<T> = { readonly [K in keyof T]: Field<T[K]> };

function badField(key: number): ProtocolFault {
  return new ProtocolFault('bad_field', `field ${key} is missing, mistyped or out of its range`);
}

/** A field that must be there. */
export function required<T>(key: number, codec: Codec<T>): Field<T> {
  return {
    key,
    read(map) {
      const raw = map.get(key);
      const value = raw === undefined ? undefined : codec.read(raw);
      if (value === undefined) throw badField(key);
      return value;
    },
    write(value, into) {
      into.set(key, codec.write(value));
    },
  };
}

/** A field that is left out where it has nothing to say. */
export function optional<T>(key: number, codec: Codec<T>): Field<T | null> {
  return {
    key,
    read(map) {
      const raw = map.get(key);
      if (raw === undefined) return null;
      const value = codec.read(raw);
      if (value === undefined) throw badField(key);
      return value;
    },
    write(value, into) {
      if (value !== null) into.set(key, codec.write(value));
    },
  };
}

export function readFields<T>(shape: Shape<T>, map: CborMap): T {
  const fields = {} as T;
  for (const name in shape) fields[name] = shape[name].read(map);
  return fields;
}

export function writeFields<T>(shape: Shape<T>, value: T, into = new Map<number, CborValue>()): Map<number, CborValue> {
  for (const name in shape) shape[name].write(value[name], into);
  return into;
}

/** Checks a payload and reads its fields. */
export function decodeFields<T>(shape: Shape<T>, payload: Uint8Array): T {
  return readFields(shape, decodePayload(payload));
}

export function encodeFields<T>(shape: Shape<T>, value: T): Uint8Array {
  return encodePayload(writeFields(shape, value));
}

function same<T extends CborValue>(read: (value: CborValue) => T | undefined): Codec<T> {
  return { read, write: (value) => value };
}

export function integer(min: number, max: number): Codec<number> {
  return same((value) => (typeof value === 'number' && value >= min && value <= max ? value : undefined));
}

export const u8 = integer(0, 0xff);
export const u16 = integer(0, 0xffff);
export const U32_MAX = 0xffff_ffff;
export const u32 = integer(0, U32_MAX);
export const unsigned = integer(0, INTEGER_MAX);
export const signed = integer(-INTEGER_MAX, INTEGER_MAX);
export const time = unsigned;
export const address = u32;
export const boolean = same((value) => (typeof value === 'boolean' ? value : undefined));

export function bytes(min: number, max = min): Codec<Uint8Array> {
  return same((value) => (value instanceof Uint8Array && value.length >= min && value.length <= max ? value : undefined));
}

/** One of a few numbers. */
export function among(numbers: readonly number[]): Codec<number> {
  return same((value) => (typeof value === 'number' && numbers.includes(value) ? value : undefined));
}

const encoder = new TextEncoder();

function utf8(min: number, max: number, sound: (text: string) => boolean = () => true): Codec<string> {
  return same((value) => {
    if (typeof value !== 'string') return undefined;
    const length = encoder.encode(value).length;
    return length >= min && length <= max && sound(value) ? value : undefined;
  });
}

export const name = utf8(1, NAME_BYTES_MAX, (text) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(text));
export const title = utf8(1, TITLE_BYTES_MAX, (text) => !/\p{Cc}/u.test(text));
export const text = utf8(0, TEXT_BYTES_MAX);
export const noteText = utf8(1, TEXT_BYTES_MAX);

export function shortText(bytesMax: number): Codec<string> {
  return utf8(0, bytesMax);
}

export function array<T>(item: Codec<T>, min: number, max: number): Codec<readonly T[]> {
  return {
    read(value) {
      if (!Array.isArray(value) || value.length < min || value.length > max) return undefined;
      const items: T[] = [];
      for (const raw of value as readonly CborValue[]) {
        const read = item.read(raw);
        if (read === undefined) return undefined;
        items.push(read);
      }
      return items;
    },
    write: (value) => value.map((each) => item.write(each)),
  };
}

/** A map inside a message. */
export function nested<T>(shape: Shape<T>): Codec<T> {
  return {
    read: (value) => (value instanceof Map ? readFields(shape, value as CborMap) : undefined),
    write: (value) => writeFields(shape, value),
  };
}
