// Values, times and places, as people read and write them.

import { describe, expect, it } from 'vitest';
import { causeText, countdown, lineOf, moment, parseValue, place, rangeText, receiptText, span, thousandths, time, valueText } from './format';

describe('values', () => {
  it.each([
    [0, '0'],
    [1500, '1.5'],
    [-20, '−0.02'],
    [2_147_483_647, '2147483.647'],
    [-1000, '−1'],
  ])('%i thousandths are %s', (value, text) => expect(thousandths(value)).toBe(text));

  it.each([
    [0, '0s'],
    [250, '250ms'],
    [1234, '1234ms'],
    [1500, '1.5s'],
    [30_000, '30s'],
    [90_000, '1.5m'],
    [100_000, '100s'],
    [600_000, '10m'],
    [5_400_000, '1.5h'],
    [604_800_000, '7d'],
  ])('%i ms are %s, and read back', (ms, text) => {
    expect(time(ms)).toBe(text);
    expect(parseValue('time', text)).toBe(ms);
  });

  it.each([
    ['num', '1.5', 1500],
    ['num', '1,5', 1500],
    ['num', '−0.002', -2],
    ['num', '1.0005', null],
    ['num', '', null],
    ['num', '1e3', null],
    ['int', '-7', -7],
    ['int', '7.0', null],
    ['bool', 'ON', 1],
    ['bool', 'off', 0],
    ['bool', '2', null],
    ['time', '2min', 120_000],
    ['time', '30', null],
    ['time', '0.5ms', null],
    ['time', '-1s', null],
  ] as const)('%s %s is %s', (type, text, value) => expect(parseValue(type, text)).toBe(value));

  it('says ranges only where there is one', () => {
    expect(rangeText({ type: 'time', min: 1000, max: 600_000 })).toBe('1s to 10m');
    expect(rangeText({ type: 'num', min: -2_147_483_647, max: 2_147_483_647 })).toBe('');
    expect(rangeText({ type: 'bool', min: 0, max: 1 })).toBe('on or off');
    expect(valueText('bool', 1)).toBe('ON');
  });
});

describe('times', () => {
  it('are short', () => {
    expect([span(-5), span(59_999), span(60_000), span(7_200_000), span(200_000_000)]).toEqual(['0 s', '59 s', '1 min', '2 h', '2 d']);
    expect([countdown(0), countdown(1), countdown(65_000)]).toEqual(['0:00', '0:01', '1:05']);
  });

  it('without a clock are told from the start', () => {
    expect(moment({ time_ms: 0, uptime_ms: 14_000 }, new Date(), true)).toBe('14 s after start');
    expect(moment({ time_ms: 0, uptime_ms: 14_000 }, new Date(), false)).toBe('14 s after an earlier start');
  });
});

describe('words', () => {
  it('say causes and ends', () => {
    expect(causeText({ kind: 'script', reference: 12 }, 7)).toBe('line 12');
    expect(causeText({ kind: 'command', by: 100_007, reference: 1 }, 7)).toBe('from No. 100007');
    expect(causeText({ kind: 'command', by: 7, reference: 1 }, 7)).toBe('from here');
    expect(causeText({ kind: 'something new' }, 7)).toBe('something new');
    expect([lineOf({ kind: 'timer', reference: 3 }), lineOf({ kind: 'command', reference: 3 })]).toEqual([3, undefined]);
    expect(receiptText('executed', 'ok')).toBe('done');
    expect(receiptText('refused', 'refused_by_script')).toBe('refused: the script refused it');
    expect(receiptText('refused', 'refused_by_script', 'tank empty')).toBe('refused: tank empty');
    expect(receiptText('refused', 'out_of_range', 'tank empty')).toBe('refused: out of range');
  });
});

describe('place', () => {
  const text = 'a := b\npümp := 水塔 or x\n';
  it.each([
    [1, 6, 1, 'b'],
    [2, 1, 5, 'pümp'],
    [2, 10, 6, '水塔'],
    [2, 17, 2, 'or'],
    [2, 99, 3, ''],
    [9, 1, 1, ''],
  ])('line %i column %i, %i bytes', (line, column, length, words) => {
    const { at, to } = place(text, line, column, length);
    expect(text.slice(at, to)).toBe(words);
  });
});
