// Who may import whom: only the desktop's host knows Tauri, the protocol knows nobody, and nothing goes in circles.
// @vitest-environment node

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, it } from 'vitest';

const SOURCE = resolve(import.meta.dirname, '../src');

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.(ts|svelte)$/.test(path) && !path.endsWith('.test.ts'))
  .map((path) => join(SOURCE, path));

function importsOf(path: string): string[] {
  const text = readFileSync(path, 'utf8').replace(/^\s*(\/\/|\*).*$/gm, '');
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

/** Types vanish when the page is built, but a circle of them is a circle all the same. */
function neighbours(path: string): string[] {
  return importsOf(path)
    .filter((target) => target.startsWith('.'))
    .map((target) => resolve(dirname(path), target))
    .map((target) => [target, `${target}.ts`, join(target, 'index.ts')].find((each) => files.includes(each)))
    .filter((target) => target !== undefined);
}

const short = (path: string) => relative(SOURCE, path);

it('finds the sources', () => {
  expect(files.map(short)).toContain('lib/host/web.ts');
  expect(neighbours(join(SOURCE, 'App.svelte')).map(short)).toContain('lib/yard.svelte.ts');
});

it('lets only the desktop host import Tauri', () => {
  const importers = files.filter((path) => importsOf(path).some((target) => target.startsWith('@tauri-apps')));
  expect(importers.map(short)).toEqual(['lib/host/tauri.ts']);
});

it('keeps the protocol to itself', () => {
  const strangers = files
    .filter((path) => short(path).startsWith('lib/protocol/'))
    .flatMap((path) => importsOf(path).filter((target) => !target.startsWith('./')));
  expect(strangers).toEqual([]);
});

it('lets the screens see hosts through their interface alone', () => {
  const offenders = files
    .filter((path) => /^(features|components)\//.test(short(path)))
    .filter((path) => importsOf(path).some((target) => /\/host\/(?!types)/.test(target)));
  expect(offenders.map(short)).toEqual([]);
});

it('has no import cycles', () => {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]) => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].map(short).join(' > '));
    if (trail.includes(path) || done.has(path)) return;
    for (const next of neighbours(path)) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of files) visit(path, []);
  expect(cycles).toEqual([]);
});
