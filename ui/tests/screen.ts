// The whole page on a fake host, for tests that see and do what people see and do.

import { flushSync, mount, tick, unmount } from 'svelte';
import App from '../src/App.svelte';
import type { Host } from '../src/lib/host/types';

/** A page that reads a list anew takes a moment, and on a busy machine a longer one. */
export const PATIENCE_MS = 15_000;

let app: object | null = null;

export async function settle(): Promise<void> {
  for (let n = 0; n < 40; n++) await tick();
  flushSync();
}

export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`expected ${what} in ${document.body.innerHTML.slice(0, 2_000)}`);
    await new Promise((done) => setTimeout(done, 5));
    flushSync();
  }
}

export function clear(): void {
  location.hash = '';
  document.body.innerHTML = '';
}

/** Opens the page there; `isReady` says when it is so far. */
export async function open(host: Host, fragment: string, isReady: () => boolean = () => true): Promise<void> {
  location.hash = fragment;
  app = mount(App, { target: document.body, props: { host } });
  await settle();
  await until('the page', isReady);
  await settle();
}

export async function close(): Promise<void> {
  if (app !== null) await unmount(app);
  app = null;
}

export async function go(fragment: string): Promise<void> {
  location.hash = fragment;
  dispatchEvent(new Event('hashchange'));
  await settle();
}

export const find = (testid: string): HTMLElement | null => document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);

export function get(testid: string): HTMLElement {
  const element = find(testid);
  if (element === null) throw new Error(`expected ${testid} in ${document.body.innerHTML.slice(0, 3_000)}`);
  return element;
}

export const text = (testid: string): string => get(testid).textContent.replace(/\s+/g, ' ').trim();
export const value = (testid: string): string => (get(testid) as HTMLInputElement).value;

export async function click(testid: string): Promise<void> {
  get(testid).click();
  await settle();
}

export async function write(testid: string, next: string): Promise<void> {
  const field = get(testid) as HTMLInputElement;
  field.value = next;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  field.dispatchEvent(new Event('change', { bubbles: true }));
  await settle();
}

/** Sends the form that it is in. */
export async function submit(testid: string): Promise<void> {
  get(testid).closest('form')?.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await settle();
}

export async function press(target: Element, key: string, altKey = false): Promise<void> {
  target.dispatchEvent(new KeyboardEvent('keydown', { key, altKey, bubbles: true, cancelable: true }));
  await settle();
}

/** What is said beside a field. */
export function beside(testid: string): string {
  const ids = (get(testid).getAttribute('aria-describedby') ?? '').split(' ');
  return ids.map((id) => document.getElementById(id)?.textContent ?? '').join(' ').trim();
}
