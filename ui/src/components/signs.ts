// The names of the signs that Sign.svelte draws.

export type SignName = 'on' | 'off' | 'asked' | 'done' | 'confirmed' | 'alarm' | 'forced' | 'stopped' | 'unknown';
