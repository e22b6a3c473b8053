// The names of the signs that Sign.svelte draws.

export type SignName =
  | 'on'
  | 'off'
  | 'asked'
  | 'done'
  | 'confirmed'
  | 'alarm'
  | 'alarmHigh'
  | 'alarmLow'
  | 'heard'
  | 'shelved'
  | 'flapping'
  | 'comment'
  | 'forced'
  | 'stopped'
  | 'notice'
  | 'unknown';
