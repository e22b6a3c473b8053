// Keys as people and JSON see them: 32 lowercase hex digits.

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function fromHex(hex: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(hex)) throw new RangeError('expected pairs of hex digits');
  return Uint8Array.from({ length: hex.length / 2 }, (_, n) => Number.parseInt(hex.slice(2 * n, 2 * n + 2), 16));
}

/** A new idempotency key. */
export function newKey(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(16)));
}
