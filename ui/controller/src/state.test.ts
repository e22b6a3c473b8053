// How the page keeps up with a controller that is slow, busy, restarted, or has forgotten who we are.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Api, Fault, PIECE_BYTES } from './api';
import { Controller, titleOf } from './state';
import type { WhyEntry } from './types';
import { join } from './why';

type Answer = { status?: number; body: unknown } | 'gone';

/** A controller that answers what it is told to, and notes what it is asked. */
class Fake {
  asked: string[] = [];
  open = 0;
  openMost = 0;
  answers = new Map<string, Answer | (() => Answer)>();

  readonly fetch = async (path: string, init: RequestInit): Promise<Response> => {
    this.asked.push(`${init.method} ${path}`);
    this.open++;
    this.openMost = Math.max(this.openMost, this.open);
    await Promise.resolve();
    await Promise.resolve();
    this.open--;
    const found = this.answers.get(path.split('?')[0]?.slice('/api/'.length) ?? '') ?? { status: 404, body: { code: 'not_found', message: 'nothing' } };
    const answer = typeof found === 'function' ? found() : found;
    if (answer === 'gone') throw new TypeError('failed to fetch');
    return new Response(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body), { status: answer.status ?? 200 });
  };
}

const LIVE = { boot_id: 1, script_hash: 1, script: 'runs', points: [], values: [], why_last: 0 };
const OUT = { status: 401, body: { code: 'not_logged_in', message: 'log in first' } };
let fake: Fake;
let waits: number[];
let api: Api;

beforeEach(() => {
  vi.useFakeTimers();
  fake = new Fake();
  waits = [];
  api = new Api(fake.fetch, (ms) => {
    waits.push(ms);
    return Promise.resolve();
  });
});
afterEach(() => vi.useRealTimers());

describe('Api', () => {
  it('has one request under way at a time, in order', async () => {
    for (const path of ['a', 'b', 'c']) fake.answers.set(path, { body: path });
    const all = await Promise.all(['a', 'b', 'c'].map((path) => api.ask<string>(path, { text: true })));
    expect(all).toEqual(['a', 'b', 'c']);
    expect(fake.openMost).toBe(1);
  });

  it('asks again what was refused as busy, and goes on after a fault', async () => {
    let left = 2;
    fake.answers.set('set', () => (left-- > 0 ? { status: 503, body: { code: 'busy', message: 'busy' } } : { body: { stage: 'executed' } }));
    expect(await api.ask('set', { body: {} })).toEqual({ stage: 'executed' });
    expect(waits).toEqual([250, 500]);
    fake.answers.set('set', 'gone');
    await expect(api.ask('set', { body: {} })).rejects.toMatchObject({ problem: { code: 'unreachable' } });
    fake.answers.set('set', { body: {} });
    expect(await api.ask('set', { body: {} })).toEqual({});
  });

  it('takes an answer cut short for none', async () => {
    fake.answers.set('live', { body: '{"boot_id":' });
    await expect(api.ask('live')).rejects.toMatchObject({ problem: { code: 'unreachable' } });
  });

  it('never repeats a command whose answer was lost', async () => {
    fake.answers.set('call', 'gone');
    await expect(api.ask('call', { body: {} })).rejects.toBeInstanceOf(Fault);
    expect(fake.asked).toEqual(['POST /api/call']);
  });

  it('uploads in pieces, and sends one again whose answer was lost', async () => {
    const sent: number[] = [];
    let lose = 1;
    fake.answers.set('script/begin', { body: {} });
    fake.answers.set('script', () => (lose-- > 0 ? 'gone' : { body: {} }));
    fake.answers.set('script/end', { body: { operations: 3 } });
    const result = await api.upload('script', new Uint8Array(PIECE_BYTES + 1), (bytes) => sent.push(bytes));
    expect(result).toEqual({ operations: 3 });
    expect(sent).toEqual([PIECE_BYTES, PIECE_BYTES + 1]);
    expect(fake.asked).toEqual(['POST /api/script/begin', 'PUT /api/script?at=0', 'PUT /api/script?at=0', `PUT /api/script?at=${PIECE_BYTES}`, 'POST /api/script/end']);
  });
});

describe('Controller', () => {
  let controller: Controller;

  beforeEach(() => {
    fake.answers.set('session', { body: { state: 'open', name: 'Pump', wait_ms: 0 } });
    fake.answers.set('live', { body: LIVE });
    fake.answers.set('status', { body: { address: 7 } });
    fake.answers.set('commands', { body: { commands: [{ name: 'boost', arguments: [] }] } });
    controller = new Controller(api, () => 1000);
  });

  it('reads everything once, and then only what changes', async () => {
    await controller.poll();
    expect(controller.view.commands).toHaveLength(1);
    expect(controller.view.status?.address).toBe(7);
    fake.asked = [];
    await controller.poll();
    expect(fake.asked).toEqual(['GET /api/live']);
  });

  it('reads the commands anew after a restart, and says that there was one', async () => {
    await controller.poll();
    fake.answers.set('live', { body: { ...LIVE, boot_id: 2 } });
    fake.answers.set('commands', { body: { commands: [] } });
    await controller.poll();
    expect(controller.view.restarted).toBe(true);
    expect(controller.view.commands).toHaveLength(0);
  });

  it('keeps what it knew while the controller does not answer, and goes on when it does', async () => {
    await controller.poll();
    fake.answers.set('live', 'gone');
    await controller.poll();
    expect(controller.view.reachable).toBe(false);
    expect(controller.view.live?.boot_id).toBe(1);
    fake.answers.set('live', { body: LIVE });
    await vi.advanceTimersByTimeAsync(2000);
    expect(controller.view.reachable).toBe(true);
  });

  it('asks who we are when it is told that we are nobody, and keeps the screen', async () => {
    await controller.poll();
    fake.answers.set('live', OUT);
    fake.answers.set('session', { body: { state: 'login', name: 'Pump', wait_ms: 0 } });
    await controller.poll();
    await vi.advanceTimersByTimeAsync(0);
    expect(controller.view.session?.state).toBe('login');
    expect(controller.view.live).not.toBeNull();
    fake.answers.set('live', { body: LIVE });
    fake.answers.set('session', { body: { state: 'open', name: 'Pump', wait_ms: 0 } });
    await vi.advanceTimersByTimeAsync(1000);
    expect(controller.view.session?.state).toBe('open');
  });

  it('is called by its number until it has a name', async () => {
    expect(titleOf(controller.view)).toBe('Controller');
    fake.answers.set('session', { body: { state: 'open', name: '', wait_ms: 0 } });
    await controller.poll();
    expect(titleOf(controller.view)).toBe('No. 7');
  });

  it('tells the caller what went wrong with what he asked', async () => {
    await controller.poll();
    fake.answers.set('set', { status: 409, body: { code: 'not_manual', message: 'the script drives this output' } });
    await expect(controller.act((one) => one.ask('set', { body: {} }))).rejects.toMatchObject({ problem: { code: 'not_manual', status: 409 } });
  });
});

describe('why', () => {
  const entry = (number: number): WhyEntry => ({ number, boot_id: 1, uptime_ms: 0, time_ms: 0, name: 'pump', type: 'digital_output', value: 1, cause: { kind: 'boot' } });

  it('joins pages without a gap or a double', () => {
    expect(join([entry(5), entry(4)], [entry(4), entry(3), entry(6)]).map((one) => one.number)).toEqual([6, 5, 4, 3]);
  });
});
