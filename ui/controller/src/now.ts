// The first screen: inputs, outputs, values, parameters and commands as they are now.

import { Fault, messageOf } from './api';
import { attribute, h, list, say, scriptLink, setSign, show, sign } from './dom';
import { bytes, causeText, countdown, isDigital, isInput, lineOf, parseValue, rangeText, receiptText, signed, span, typeOf, valueText } from './format';
import type { Controller } from './state';
import type { Argument, Command, Point, Receipt, Status, Value } from './types';

const FORCE_TIMES: readonly [string, number][] = [
  ['1 min', 60_000],
  ['10 min', 600_000],
  ['1 h', 3_600_000],
  ['8 h', 28_800_000],
];

/** How long it is said what came of something. */
const TOLD_MS = 8000;

const problemText = (error: unknown): string => (error instanceof Fault && error.problem.code === 'out_of_range' ? 'out of range' : messageOf(error));

/** A sign and its word, or a number. */
function valueCell(): { node: HTMLElement; update: (type: Parameters<typeof valueText>[0], value: number, mark?: string) => void } {
  const icon = sign('off');
  const word = h('span', { class: 'word' });
  const node = h('span', { class: 'value' }, icon, word);
  return {
    node,
    update(type, value, mark) {
      const on = type === 'bool' && value !== 0;
      attribute(icon, 'hidden', type !== 'bool');
      setSign(icon, mark ?? (on ? 'on' : 'off'));
      say(word, mark === 'alarm' ? 'ALARM' : valueText(type, value));
      attribute(node, 'class', `value ${mark ?? (on ? 'on' : type === 'bool' ? '' : 'number')}`);
    },
  };
}

function pointRow(controller: Controller, first: Point): { node: HTMLElement; update: (point: Point) => void } {
  let point = first;
  let asked = 0;
  const name = point.name;
  const digital = isDigital(point.type);
  const value = valueCell();
  const why = scriptLink();
  const remarks = h('span', { class: 'remarks' });
  const told = h('span', { class: 'told', role: 'status' });
  const switchButton = h('button', { type: 'button', onclick: () => void set(point.value === 0 ? 1 : 0) });
  const wanted = h('input', { size: 7, inputmode: 'decimal', 'aria-label': `New value of ${name}` });
  const setForm = h('form', { class: 'inline', onsubmit: submit }, wanted, h('button', {}, 'Set'));
  const manual = h('span', { class: 'switch' }, digital ? switchButton : setForm);

  const forceValue = digital
    ? h('select', { 'aria-label': 'Value' }, h('option', { value: '1' }, 'ON'), h('option', { value: '0' }, 'off'))
    : h('input', { size: 7, inputmode: 'decimal', 'aria-label': 'Value' });
  const forceTime = h('select', { 'aria-label': 'For how long' }, ...FORCE_TIMES.map(([text, ms]) => h('option', { value: ms }, text)));
  const forceForm = h('form', { class: 'inline', hidden: true, onsubmit: force }, 'Hold', forceValue, 'for', forceTime, h('button', {}, 'Force'));
  const forceButton = h('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false', 'aria-label': `Force ${name}`, onclick: openForce }, 'Force…');
  const releaseButton = h('button', { type: 'button', 'aria-label': `Let go of ${name}`, onclick: () => void tell(controller.act((api) => api.ask('unforce', { body: { point: name } })), '') }, 'Let go');
  const about = h('span', { class: 'about' }, remarks, why.node);
  const node = h('li', { class: 'point', 'data-testid': `point-${name}` }, h('span', { class: 'name' }, name, ' ', h('small', {}, point.pin)), value.node, about);
  if (!isInput(point.type)) {
    node.append(h('span', { class: 'end' }, releaseButton, forceButton));
    // What came of a switch stands beside it; of a force, where the cause is.
    if (point.manual === true) node.append(h('span', { class: 'actions' }, manual, told));
    else about.append(told);
    node.append(forceForm);
  }

  function openForce(): void {
    show(forceForm, forceForm.hidden !== false);
    attribute(forceButton, 'aria-expanded', String(!forceForm.hidden));
    if (!forceForm.hidden) forceValue.focus();
  }

  /** What was asked stands beside the switch until the answer is there, and then what came of it. */
  async function tell(answer: Promise<unknown>, done: string): Promise<void> {
    const mine = ++asked;
    say(told, 'asked…');
    try {
      const receipt = (await answer) as Partial<Receipt>;
      say(told, receipt.stage === undefined ? done : receiptText(receipt.stage, receipt.reason ?? ''));
    } catch (error) {
      say(told, problemText(error));
    }
    setTimeout(() => mine === asked && say(told, ''), TOLD_MS);
  }

  const set = (to: number) => tell(controller.act((api) => api.ask<Receipt>('set', { body: { point: name, value: to } })), 'done');

  function submit(event: Event): void {
    event.preventDefault();
    const to = parseValue('num', wanted.value);
    attribute(wanted, 'aria-invalid', to === null);
    if (to === null) say(told, 'expected a number');
    else void set(to);
  }

  function force(event: Event): void {
    event.preventDefault();
    const to = digital ? Number(forceValue.value) : parseValue('num', forceValue.value);
    if (to === null) {
      say(told, 'expected a number');
      return;
    }
    show(forceForm, false);
    attribute(forceButton, 'aria-expanded', 'false');
    void tell(controller.act((api) => api.ask('force', { body: { point: name, value: to, for_ms: Number(forceTime.value) } })), '');
  }

  return {
    node,
    update(next) {
      point = next;
      value.update(typeOf(next), next.value);
      const marks = [
        ...(next.forced === true ? [`forced, ${countdown(next.force_left_ms ?? 0)} left`] : []),
        ...(next.fault === true ? ['fault: the feedback disagrees'] : []),
        ...(next.bad === true ? ['not to be trusted'] : []),
      ];
      say(remarks, marks.join(', '));
      attribute(remarks, 'class', `remarks ${next.forced === true ? 'forced' : ''}`);
      if (next.forced === true) why.update('', undefined);
      else if (next.cause.kind === 'force') why.update('force ended', undefined);
      else if (!isInput(next.type)) why.update(causeText(next.cause, controller.view.status?.address), lineOf(next.cause));
      show(releaseButton, next.forced === true);
      show(forceButton, next.forced !== true);
      say(switchButton, next.value === 0 ? 'Switch on' : 'Switch off');
      attribute(switchButton, 'aria-label', `Switch ${next.value === 0 ? 'on' : 'off'} ${name}`);
    },
  };
}

function valueRow(controller: Controller, first: Value): { node: HTMLElement; update: (value: Value) => void } {
  const cell = valueCell();
  const node = h('li', { class: 'point' }, h('span', { class: 'name' }, first.name), cell.node);
  if (first.kind !== 'parameter') {
    const line = scriptLink();
    line.update(`line ${first.line}`, first.line);
    node.append(h('span', { class: 'about' }, line.node));
    return {
      node,
      update(next) {
        if (next.kind === 'alarm') cell.update('bool', next.value, next.value === 0 ? undefined : 'alarm');
        else cell.update(next.type, next.value);
        if (next.kind === 'machine') say(cell.node.lastElementChild ?? cell.node, next.state ?? '');
      },
    };
  }
  const told = h('span', { class: 'told', role: 'status' });
  const range = { type: first.type, min: first.min ?? 0, max: first.max ?? 0 };
  const input = field(`New value of ${first.name}`, { ...range, name: first.name }, '');
  const form = h('form', { class: 'inline', hidden: true }, input, h('button', {}, 'Set'), h('small', {}, first.type === 'bool' ? '' : rangeText(range)));
  const change = h('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false', 'aria-label': `Change ${first.name}`, onclick: () => open(form.hidden !== false) }, 'Change…');
  node.append(h('span', { class: 'about' }, told), h('span', { class: 'end' }, change), form);

  function open(opened: boolean): void {
    show(form, opened);
    attribute(change, 'aria-expanded', String(opened));
    if (!opened) return;
    input.value = valueText(first.type, current).replace('−', '-');
    if (input instanceof HTMLInputElement) input.select();
    else input.focus();
  }

  let current = first.value;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const value = parseValue(first.type, input.value);
    attribute(input, 'aria-invalid', value === null);
    if (value === null) {
      say(told, `expected ${example(first.type)}`);
      return;
    }
    say(told, 'asked…');
    controller.act((api) => api.ask('parameter', { body: { name: first.name, value } })).then(
      () => {
        say(told, 'set');
        open(false);
        change.focus();
      },
      (error: unknown) => say(told, problemText(error)),
    );
  });
  return {
    node,
    update(next) {
      current = next.value;
      cell.update(next.type, next.value);
    },
  };
}

const example = (type: Value['type']): string => ({ bool: 'on or off', int: 'a whole number', num: 'a number', time: 'a time, such as 90s' })[type];

function field(label: string, argument: Argument, value: string): HTMLInputElement | HTMLSelectElement {
  if (argument.type === 'bool') return h('select', { 'aria-label': label }, h('option', { value: 'ON' }, 'ON'), h('option', { value: 'off' }, 'off'));
  return h('input', { size: 8, 'aria-label': label, value, inputmode: argument.type === 'int' || argument.type === 'num' ? 'decimal' : 'text', placeholder: rangeText(argument) === '' ? example(argument.type) : '' });
}

function commandRow(controller: Controller, command: Command): { node: HTMLElement; update: () => void } {
  const told = h('span', { class: 'told', role: 'status' });
  const inputs = command.arguments.map((argument) => field(argument.name, argument, valueText(argument.type, argument.min).replace('−', '-')));
  const form = h(
    'form',
    { class: 'command' },
    h('span', { class: 'name' }, command.name),
    ...command.arguments.map((argument, index) => h('label', { class: 'argument' }, `${argument.name} `, inputs[index] ?? '', h('small', {}, argument.type === 'bool' ? '' : rangeText(argument)))),
    h('button', { 'aria-label': `Run ${command.name}` }, 'Run'),
    told,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const values = command.arguments.map((argument, index) => parseValue(argument.type, inputs[index]?.value ?? ''));
    const wrong = values.findIndex((value, index) => {
      const argument = command.arguments[index];
      return value === null || (argument !== undefined && argument.type !== 'bool' && (value < argument.min || value > argument.max));
    });
    inputs.forEach((input, index) => attribute(input, 'aria-invalid', index === wrong));
    const argument = command.arguments[wrong];
    if (argument !== undefined) {
      say(told, `${argument.name}: expected ${rangeText(argument) || example(argument.type)}`);
      inputs[wrong]?.focus();
      return;
    }
    say(told, 'asked…');
    controller.act((api) => api.ask<Receipt>('call', { body: { command: command.name, arguments: values } })).then(
      (receipt) => say(told, receiptText(receipt.stage, receipt.reason, command.refusal)),
      (error: unknown) => say(told, problemText(error)),
    );
  });
  return { node: h('li', {}, form), update: () => undefined };
}

/** Nothing, if there is nothing to say. */
const fact = (name: string, text: string): [string, string][] => (text === '' ? [] : [[name, text]]);

/** How far new firmware is. */
export function updateText(status: Pick<Status, 'update' | 'update_bytes' | 'update_written_bytes'>): string {
  return {
    none: '',
    writing: `${Math.floor((100 * status.update_written_bytes) / Math.max(1, status.update_bytes))} % written`,
    written: 'new firmware waits for a restart',
    on_trial: 'new firmware runs on trial',
    fell_back: 'the new firmware failed; this one returned',
  }[status.update];
}

/** Facts about the controller: name, value, and what it means when it is not obvious. */
export function facts(status: Status, now: number): [string, string][] {
  const wifi = { down: 'off', joining: 'joining…', joined: status.ip + (status.rssi_dbm === 0 ? '' : `, ${signed(status.rssi_dbm)} dBm`), wrong_password: 'wrong password', not_found: 'network not found' }[status.wifi];
  const link = { down: 'not reached, tries again', opening: 'connecting…', live: `on line, gateway ${status.gateway + 1}`, none: 'none set' }[status.link];
  const clock = status.time_ms === 0 ? 'not known yet' : new Date(status.time_ms).toLocaleString();
  return [
    ['Number', `No. ${status.address}`],
    ['Board', status.board],
    ['Firmware', status.software],
    ...fact('Update', updateText(status)),
    ['Running for', span(status.uptime_ms)],
    ['Gateway', link],
    ['Wi-Fi', status.access_point ? `${wifi}; its own is open` : wifi],
    ['Clock', status.time_ms !== 0 && Math.abs(status.time_ms - now) > 120_000 ? `${clock} (this device differs)` : clock],
    ['Scan', `at most ${(status.scan_us / 1000).toFixed(2)} ms of 10 on the chip`],
    ['Late scans', status.late_scans === 0 ? 'none' : `${status.late_scans}, longest gap ${status.longest_gap_ms} ms (${status.longest_gap})`],
    ...fact('Free memory', status.free_bytes === 0 ? '' : bytes(status.free_bytes)),
    ...fact('Divisions by zero', status.divisions_by_zero === 0 ? '' : String(status.divisions_by_zero)),
  ];
}

function panel(title: string, empty: string): { node: HTMLElement; body: HTMLElement; note: HTMLElement } {
  const body = h('ul');
  const note = h('p', { class: 'empty' }, empty);
  return { node: h('section', { class: 'panel' }, h('h2', {}, title), body, note), body, note };
}

/** The screen, and how it is brought up to date. */
export function nowScreen(controller: Controller): { node: HTMLElement; update: () => void } {
  const inputs = panel('Inputs', 'The script declares no inputs.');
  const outputs = panel('Outputs', 'The script declares no outputs.');
  const values = panel('Values', 'The script keeps no values.');
  const parameters = panel('Parameters', 'The script has no parameters.');
  const commands = panel('Commands', 'The script has no commands.');
  const about = panel('Controller', '');
  const point = (one: Point) => pointRow(controller, one);
  const value = (one: Value) => valueRow(controller, one);
  const pinned = (one: Point) => `${one.name} ${one.type} ${one.pin} ${one.manual}`;
  const showInputs = list(inputs.body, pinned, point);
  const showOutputs = list(outputs.body, pinned, point);
  const typed = (one: Value) => `${one.kind} ${one.name} ${one.type} ${one.min} ${one.max} ${one.line}`;
  const showValues = list(values.body, typed, value);
  const showParameters = list(parameters.body, typed, value);
  const showCommands = list(commands.body, (one: Command) => JSON.stringify(one), (one) => commandRow(controller, one));
  const showFacts = list(about.body, ([name]: [string, string]) => name, ([name]) => {
    const text = h('span', { class: 'fact' });
    return { node: h('li', { class: 'point' }, h('span', { class: 'why' }, name), text), update: ([, to]) => say(text, to) };
  });
  const node = h('div', { class: 'grid' }, h('div', {}, inputs.node, commands.node), h('div', {}, outputs.node), h('div', {}, parameters.node, values.node, about.node));
  return {
    node,
    update() {
      const { live, status, commands: known } = controller.view;
      if (live === null) return;
      const sets: [typeof inputs, number][] = [];
      const fill = <T>(where: typeof inputs, put: (items: readonly T[]) => void, items: readonly T[]) => {
        put(items);
        sets.push([where, items.length]);
      };
      fill(inputs, showInputs, live.points.filter((one) => isInput(one.type)));
      fill(outputs, showOutputs, live.points.filter((one) => !isInput(one.type)));
      fill(values, showValues, live.values.filter((one) => one.kind !== 'parameter'));
      fill(parameters, showParameters, live.values.filter((one) => one.kind === 'parameter'));
      fill(commands, showCommands, known);
      if (status !== null) showFacts(facts(status, Date.now()));
      for (const [where, count] of sets) show(where.note, count === 0);
      show(about.note, false);
    },
  };
}
