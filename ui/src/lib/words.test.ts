// Numbers, times, languages and signatures as people read and write them.

import { describe, expect, it } from 'vitest';
import { parsePlace } from './place.svelte';
import { isInRange, parseArgument, parseSignature } from './signature';
import { formatAgo, formatThousandths, parseThousandths, soundLanguage } from './texts';
import { en } from './texts/en';
import { zh } from './texts/zh';

describe('languages', () => {
  it.each([
    ['C', 'en'],
    ['', 'en'],
    [undefined, 'en'],
    ['POSIX_nonsense', 'en'],
    ['de-DE', 'de-DE'],
    ['zh-CN', 'zh-CN'],
  ])('%s is spoken as %s', (wanted, spoken) => {
    expect(soundLanguage(wanted)).toBe(spoken);
    expect(() => new Intl.DateTimeFormat(soundLanguage(wanted))).not.toThrow();
  });

  it('leave no word untranslated', () => {
    const words = (catalogue: object): string[] => Object.entries(catalogue).flatMap(([name, each]) => (typeof each === 'object' && each !== null ? words(each as object).map((inner) => `${name}.${inner}`) : [name]));
    expect(words(zh)).toEqual(words(en));
    expect(zh.reason('not_manual')).not.toBe('not manual');
  });
});

describe('thousandths', () => {
  it.each([
    [72_400, '72.4'],
    [0, '0'],
    [-50, '−0.05'],
    [1_000, '1'],
    [12_345_678, '12345.678'],
  ])('%i is %s, and back', (value, text) => {
    expect(formatThousandths(value)).toBe(text);
    expect(parseThousandths(text)).toBe(value);
  });

  it.each(['', 'x', '1.2345', '1..2', '1e5', '--1'])('%j is no number', (text) => {
    expect(parseThousandths(text)).toBeNull();
  });
});

it('says how long ago in one unit', () => {
  const ago = (seconds: number) => formatAgo(0, seconds * 1000);
  expect([0, 14, 59, 60, 3_599, 7_200, 200_000].map(ago)).toEqual(['now', '14 s', '59 s', '1 min', '59 min', '2 h', '2 d']);
});

describe('signatures', () => {
  it('read names, types and ranges', () => {
    expect(parseSignature('ramp(target: num in 0..100, rate: num in 0.1..50)')).toEqual({
      name: 'ramp',
      parameters: [
        { name: 'target', type: 'num', low: 0, high: 100_000, lowText: '0', highText: '100' },
        { name: 'rate', type: 'num', low: 100, high: 50_000, lowText: '0.1', highText: '50' },
      ],
    });
    expect(parseSignature('enable(on: bool)')?.parameters).toMatchObject([{ name: 'on', type: 'bool', low: null }]);
    expect(parseSignature('reset')).toEqual({ name: 'reset', parameters: [] });
    expect(parseSignature('reset()')).toEqual({ name: 'reset', parameters: [] });
  });

  it.each(['', '1x()', 'f(', 'f(a)', 'f(a: colour)', 'f(a: int in x..y)'])('%j is none that this page knows', (text) => {
    expect(parseSignature(text)).toBeNull();
  });

  it.each([
    ['time', '100ms', 100],
    ['time', '2', 2_000],
    ['time', '1.5s', 1_500],
    ['time', '10m', 600_000],
    ['time', '1 h', 3_600_000],
    ['time', '5 parsec', null],
    ['time', '999999999999 d', null],
    ['int', '-7', -7],
    ['int', '1.5', null],
    ['num', '0.1', 100],
    ['bool', 'true', 1],
    ['bool', '2', null],
  ] as const)('%s %s is %s', (type, text, value) => {
    expect(parseArgument(type, text)).toBe(value);
  });

  it('hold their bounds, both included', () => {
    const parameter = parseSignature('pulse(t: time in 100ms..60s)')?.parameters[0];
    if (parameter === undefined) throw new Error('expected a parameter');
    expect([99, 100, 60_000, 60_001].map((value) => isInRange(parameter, value))).toEqual([false, true, true, false]);
  });
});

it('reads places from the address bar', () => {
  expect(parsePlace('#/100042')).toEqual({ screen: 'controller', address: 100042 });
  expect(parsePlace('#/bench')).toEqual({ screen: 'bench' });
  expect(parsePlace('#/<script>')).toEqual({ screen: 'fleet' });
  expect(parsePlace('')).toEqual({ screen: 'fleet' });
});
