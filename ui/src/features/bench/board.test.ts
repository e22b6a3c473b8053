// Forms and the orders that they make; a board's way through the big steps.

import { describe, expect, it } from 'vitest';
import type { BoardState, BoardStep } from '../../lib/host/types';
import { emptyDraft, nextDraft, orderOf, parseOffset, PHASES, share, standing, type BoardDraft } from './board';

const FILLED: BoardDraft = {
  ...emptyDraft(),
  serialPort: ' /dev/pts/7 ',
  reset: 'person',
  images: [
    { offset: '0', path: 'boot.bin' },
    { offset: '0x1000', path: ' user1.bin ' },
    { offset: 'nonsense', path: '' },
  ],
  profile: 'virtual',
  wifi: 'yard ',
  wifiPassword: ' behind the gate',
  gateway: 'yard.example:7001',
  title: 'North pump',
};

const BOARD: BoardState = {
  serialPort: '/dev/pts/7',
  title: 'North pump',
  step: 'writing',
  prompt: null,
  bytes: 0,
  bytesDone: 0,
  chip: null,
  board: null,
  retries: 0,
  lines: [],
  isStopping: false,
  end: null,
};

describe('an order', () => {
  it('is what the form says, and secrets and network names to the letter', () => {
    expect(orderOf(FILLED, false)).toEqual({
      serialPort: '/dev/pts/7',
      reset: 'person',
      images: [
        { offset: 0, path: 'boot.bin' },
        { offset: 4096, path: 'user1.bin' },
      ],
      profile: 'virtual',
      wifi: 'yard ',
      wifiPassword: ' behind the gate',
      gateways: ['yard.example:7001'],
      title: 'North pump',
      site: null,
      script: null,
      pagePassword: null,
      replace: false,
      offMains: false,
    });
  });

  it.each([
    [{ serialPort: ' ' }, 'serialPort'],
    [{ profile: '' }, 'profile'],
    [{ images: [{ offset: '1000h', path: 'user1.bin' }] }, 'images'],
    [{ title: '' }, 'title'],
    [{ site: 'north' }, 'site'],
    [{ site: '4294967296' }, 'site'],
  ])('with %j is refused for its %s', (change, wrong) => {
    expect(orderOf({ ...FILLED, ...change }, false)).toBe(wrong);
  });

  it('for the next board keeps all but what is one board’s own', () => {
    const next = nextDraft({ ...FILLED, replace: true, pagePassword: 'x' });
    expect(next).toEqual({ ...FILLED, title: '', replace: false, pagePassword: '' });
  });
});

it.each([
  ['0', 0],
  ['0x1000', 4096],
  [' 4096 ', 4096],
  ['0xffffffff', 0xffff_ffff],
  ['4294967296', null],
  ['-1', null],
  ['0x', null],
  ['', null],
])('reads the address %j as %s', (text, offset) => {
  expect(parseOffset(text)).toBe(offset);
});

describe('the big steps', () => {
  const row = (board: BoardState) => PHASES.map((phase) => standing(phase, board));

  it.each<[BoardStep, string[]]>([
    ['finding', ['now', 'next', 'next', 'next', 'next']],
    ['writing', ['done', 'now', 'next', 'next', 'next']],
    ['starting', ['done', 'done', 'now', 'next', 'next']],
    ['joining', ['done', 'done', 'done', 'now', 'next']],
    ['reaching', ['done', 'done', 'done', 'done', 'now']],
  ])('at %s are %j', (step, expected) => {
    expect(row({ ...BOARD, step })).toEqual(expected);
  });

  it('are all done at the end, and show where a board stopped', () => {
    expect(row({ ...BOARD, step: 'reaching', end: { kind: 'done', address: 100042, page: null, before: null } })).toEqual(PHASES.map(() => 'done'));
    const end = { kind: 'failed' as const, message: 'no', advice: null, isStopped: false, address: null, leftOnBoard: false, leftAtGateway: false };
    expect(row({ ...BOARD, step: 'joining', end })).toEqual(['done', 'done', 'done', 'failed', 'next']);
  });
});

it('knows how much of a step is done where it has bytes', () => {
  expect(share(BOARD)).toBeNull();
  expect(share({ ...BOARD, bytes: 400, bytesDone: 100 })).toBe(0.25);
  expect(share({ ...BOARD, bytes: 400, bytesDone: 500 })).toBe(1);
});
