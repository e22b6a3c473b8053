// Runs every golden vector that concerns a tool; their format stands in tests/vectors/README.md.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../host/hex';
import { checkPayload, decodePayload, encodePayload } from './cbor';
import { ProtocolFault } from './fault';
import { decodeHeader, encodeFrame } from './frame';
import { decodeFields, encodeFields } from './fields';
import * as messages from './messages';
import { Kind } from './registry';

type Table = Record<string, unknown>;

function load(file: string, key: string): Table[] {
  const text = readFileSync(resolve(import.meta.dirname, '../../../../tests/vectors', file), 'utf8');
  const vectors = parse(text)[key];
  if (!Array.isArray(vectors) || vectors.length === 0) throw new Error(`expected vectors under ${key} in ${file}`);
  return vectors as Table[];
}

function faultOf(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof ProtocolFault) return error.fault;
    throw error;
  }
}

/** `status_full` to `statusFull`. */
function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function kindNamed(name: unknown): Kind {
  const kind = Kind[camel(String(name)) as keyof typeof Kind];
  if (kind === undefined) throw new Error(`no kind is called ${String(name)}`);
  return kind;
}

/** A decoded message as a vector writes it: names in snake case, bytes in hex, absent fields left out. */
function asVector(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(asVector);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== null)
      .map(([name, each]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), asVector(each)]),
  );
}

describe('headers', () => {
  it.each(load('headers.toml', 'header').map((vector) => [String(vector['name']), vector] as const))('%s', (_, vector) => {
    const bytes = fromHex(String(vector['hex']));
    const max = vector['payload_bytes_max'] as number | undefined;
    if (vector['error'] !== undefined) {
      expect(faultOf(() => decodeHeader(bytes, max))).toBe(vector['error']);
      return;
    }
    const header = decodeHeader(bytes, max);
    const { name: _name, hex: _hex, payload_bytes_max: _max, ...expected } = vector;
    expect(asVector(header)).toEqual({ ...expected, kind: kindNamed(vector['kind']) });
    if (header === null) throw new Error('expected a header');
    expect(encodeFrame({ ...header, payload: new Uint8Array(header.payloadBytes) }).subarray(0, 16)).toEqual(bytes);
  });
});

describe('payloads', () => {
  it.each(load('cbor.toml', 'payload').map((vector) => [String(vector['name']), vector] as const))('%s', (_, vector) => {
    const bytes = fromHex(String(vector['hex']));
    expect(checkPayload(bytes)).toBe(vector['ok'] === true ? null : vector['fault']);
    if (vector['ok'] === true) expect(toHex(encodePayload(decodePayload(bytes)))).toBe(vector['hex']);
  });
});

interface Decoded {
  fields: unknown;
  encode(): Uint8Array;
}

function through<T>(shape: Parameters<typeof decodeFields<T>>[0], payload: Uint8Array): Decoded {
  const fields = decodeFields(shape, payload);
  return { fields, encode: () => encodeFields(shape, fields) };
}

function decode(type: string, kind: Kind, payload: Uint8Array): Decoded {
  switch (type.split('.')[0]) {
    case 'controller_hello':
      return through(messages.controllerHello, payload);
    case 'hello_reply':
      return through(messages.controllerWelcome, payload);
    case 'tool_hello':
      return through(messages.toolHello, payload);
    case 'tool_welcome':
      return through(messages.toolWelcome, payload);
    case 'ping':
      return through(messages.ping, payload);
    case 'ping_reply':
      return through(messages.pingReply, payload);
    case 'error':
      return through(messages.errorMessage, payload);
    case 'receipt':
      return through(messages.receiptMessage, payload);
    case 'status':
      if (kind === Kind.statusDelta) return through(messages.statusDelta, payload);
      messages.decodeStatusFull(payload);
      return through(messages.statusFull, payload);
    case 'request':
    case 'event':
    case 'command': {
      const request = messages.decodeRequest(kind, payload);
      const { verb, ...fields } = request;
      const named = type.split('.')[1];
      if (named !== undefined) expect(verb).toBe(named);
      // An absent `wait` means false, and a vector writes it so.
      const shown = kind === Kind.command ? { ...fields, wait: 'wait' in fields && fields.wait === true } : fields;
      return { fields: shown, encode: () => messages.encodeRequest(request) };
    }
    case 'answer': {
      const { code, detail, verb, map } = messages.decodeResponse(payload);
      if (code !== 0) return { fields: { code, detail, verb }, encode: () => messages.encodeRefusal(verb, code, detail) };
      const named = messages.verbName(verb);
      if (named === null) throw new ProtocolFault('unsupported', `no verb is ${verb}`);
      if (!messages.isAnswerVerb(named)) throw new ProtocolFault('wrong_kind', `${named} has no answer`);
      const fields = messages.decodeAnswer(named, map);
      return { fields, encode: () => messages.encodeAnswer(named, fields) };
    }
    default:
      throw new Error(`no decoder for ${type}`);
  }
}

const CBOR = 'cbor';

describe('messages', () => {
  it.each(load('messages.toml', 'message').map((vector) => [String(vector['name']), vector] as const))('%s', (_, vector) => {
    const payload = fromHex(String(vector['hex']));
    const kind = kindNamed(vector['kind']);
    const run = () => decode(String(vector['type']), kind, payload);
    if (vector['error'] !== undefined) {
      expect(faultOf(run)).toBe(vector['error'] === CBOR ? vector['fault'] : vector['error']);
      return;
    }
    const decoded = run();
    expect(asVector(decoded.fields)).toEqual(vector['fields'] ?? {});
    if (vector['encode'] !== false) expect(toHex(decoded.encode())).toBe(vector['hex']);
  });
});
