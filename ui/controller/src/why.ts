// Why: every change of an output, newest first, with its cause.

import { messageOf } from './api';
import { h, list, say, scriptLink, show } from './dom';
import { causeText, lineOf, moment, typeOf, valueText } from './format';
import type { Controller } from './state';
import type { WhyEntry } from './types';

const KEPT_MAX = 300;

/** Joins newer or older entries to those that are known: by number, newest first. */
export function join(known: readonly WhyEntry[], more: readonly WhyEntry[]): WhyEntry[] {
  const all = new Map([...known, ...more].map((entry) => [entry.number, entry]));
  return [...all.values()].sort((a, b) => b.number - a.number).slice(0, KEPT_MAX);
}

/** The screen, and how it is brought up to date. */
export function whyScreen(controller: Controller): { node: HTMLElement; update: () => void } {
  const body = h('ul');
  const note = h('p', { class: 'empty' }, 'Nothing has changed yet. Changes of outputs show here, with their cause.');
  const told = h('span', { class: 'told', role: 'status' });
  const older = h('button', { type: 'button', onclick: () => void ask(entries.at(-1)?.number) }, 'Older');
  const node = h('section', { class: 'panel why-log' }, h('h2', {}, 'Why'), body, note, h('div', { class: 'bar' }, older, told));
  let entries: WhyEntry[] = [];
  let newest = 0;
  let asking = false;
  const put = list(body, (entry: WhyEntry) => `${entry.boot_id} ${entry.number}`, (entry) => {
    const at = h('span', { class: 'at', title: entry.time_ms === 0 ? '' : new Date(entry.time_ms).toString() });
    const cause = scriptLink();
    const text = valueText(typeOf(entry), entry.value);
    const value = h('span', { class: text === 'ON' ? 'value on' : 'value' }, text);
    return {
      node: h('li', { class: 'entry' }, at, h('span', { class: 'name' }, entry.name), value, cause.node),
      update(one) {
        say(at, moment(one, new Date(), one.boot_id === controller.view.live?.boot_id));
        cause.update(causeText(one.cause, controller.view.status?.address) + (one.other_script === true ? ' of another script' : ''), one.other_script === true ? undefined : lineOf(one.cause));
      },
    };
  });

  async function ask(before?: number): Promise<void> {
    if (asking) return;
    asking = true;
    try {
      const found = (await controller.api.ask<{ entries: WhyEntry[] }>(before === undefined ? 'why' : `why?before=${before}`)).entries;
      entries = join(entries, found);
      say(told, before !== undefined && found.length === 0 ? 'that is all there is' : '');
    } catch (error) {
      say(told, messageOf(error));
      newest = 0;
    }
    asking = false;
    put(entries);
    show(note, entries.length === 0);
    show(older, entries.length > 0);
  }

  return {
    node,
    update() {
      const last = controller.view.live?.why_last ?? 0;
      if (last === newest) return;
      if (last < newest) entries = [];
      newest = last;
      void ask();
    },
  };
}
