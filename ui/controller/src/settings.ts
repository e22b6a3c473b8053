// Settings: name, Wi-Fi, gateways, password, restart, firmware.

import { Fault, messageOf } from './api';
import { attribute, h, list, say, show } from './dom';
import { signed } from './format';
import { type Controller, titleOf } from './state';
import type { FoundNetwork, Settings } from './types';

const ZONES: readonly [string, string][] = [
  ['Central Europe', 'CET-1CEST,M3.5.0,M10.5.0/3'],
  ['Britain, Ireland', 'GMT0BST,M3.5.0/1,M10.5.0'],
  ['Eastern Europe', 'EET-2EEST,M3.5.0/3,M10.5.0/4'],
  ['China', 'CST-8'],
  ['India', 'IST-5:30'],
  ['Japan', 'JST-9'],
  ['US East', 'EST5EDT,M3.2.0,M11.1.0'],
  ['US Central', 'CST6CDT,M3.2.0,M11.1.0'],
  ['US Mountain', 'MST7MDT,M3.2.0,M11.1.0'],
  ['US Pacific', 'PST8PDT,M3.2.0,M11.1.0'],
  ['Australia East', 'AEST-10AEDT,M10.1.0,M4.1.0/3'],
  ['UTC', 'UTC0'],
];

/** How long it is said that it restarts; the log-in stands there then. */
const RESTART_MS = 5000;

type Name = Exclude<keyof Settings, 'has_wifi_password'> | 'wifi_password';

/** Asks whether something that cannot be undone is to be done; the dialog names it. */
export function confirmed(question: string, action: string): Promise<boolean> {
  return new Promise((done) => {
    const dialog = h('dialog', {}, h('p', {}, question), h('form', { method: 'dialog', class: 'bar' }, h('button', { value: '' }, 'Cancel'), h('button', { value: 'yes', class: 'primary' }, action)));
    dialog.addEventListener('close', () => {
      dialog.remove();
      done(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function row(label: string, input: HTMLElement, hint = ''): HTMLLabelElement {
  return h('label', { class: 'row' }, h('span', {}, label), input, ...(hint === '' ? [] : [h('small', {}, hint)]));
}

/** The screen, and how it is brought up to date. */
export function settingsScreen(controller: Controller): { node: HTMLElement; update: () => void; open: () => void } {
  const text = (attributes: Record<string, string | number> = {}) => h('input', { maxlength: 64, autocomplete: 'off', ...attributes });
  const fields: Record<Name, HTMLInputElement> = {
    name: text(),
    host: text({ maxlength: 24, autocapitalize: 'off' }),
    zone: text({ list: 'zones' }),
    wifi: text({ maxlength: 32, list: 'networks' }),
    wifi_password: text({ type: 'password', autocomplete: 'new-password' }),
    gateway_1: text({ placeholder: 'host:port', autocapitalize: 'off', inputmode: 'url' }),
    gateway_2: text({ placeholder: 'none', autocapitalize: 'off', inputmode: 'url' }),
  };
  let settings: Settings | null = null;

  function section(title: string, names: readonly Name[], rows: readonly Node[], hint: string): HTMLElement {
    const told = h('span', { class: 'told', role: 'status' });
    const form = h('form', { class: 'panel' }, h('h2', {}, title), ...rows, h('div', { class: 'bar' }, h('button', { class: 'primary' }, 'Save'), told), h('p', { class: 'hint' }, hint));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const changed = Object.fromEntries(names.filter((name) => fields[name].value !== (name === 'wifi_password' ? '' : settings?.[name])).map((name) => [name, fields[name].value]));
      for (const name of names) attribute(fields[name], 'aria-invalid', false);
      if (Object.keys(changed).length === 0) {
        say(told, 'nothing has changed');
        return;
      }
      say(told, 'saving…');
      controller.act((api) => api.ask('settings', { body: changed })).then(
        () => {
          say(told, 'saved');
          void load(names);
          if ('name' in changed) void controller.askSession();
        },
        (error: unknown) => {
          const wrong = error instanceof Fault ? (error.problem.field as Name | undefined) : undefined;
          if (wrong !== undefined) {
            attribute(fields[wrong], 'aria-invalid', true);
            fields[wrong].focus();
          }
          say(told, wrong === undefined ? messageOf(error) : 'this cannot be taken');
        },
      );
    });
    return form;
  }

  const networks = h('ul', { class: 'networks' });
  const putNetworks = list(networks, (one: FoundNetwork) => one.wifi, (one) => {
    const strength = h('span', { class: 'why' });
    const choose = () => {
      fields.wifi.value = one.wifi;
      fields.wifi_password.focus();
    };
    return { node: h('li', {}, h('button', { type: 'button', class: 'quiet', onclick: choose }, one.wifi, ' ', strength)), update: (now) => say(strength, `${signed(now.rssi_dbm)} dBm${now.secured ? '' : ', open'}`) };
  });
  const lookTold = h('span', { class: 'told', role: 'status' });
  const look = h('button', { type: 'button', onclick: () => void lookAround() }, 'Look for networks');

  async function lookAround(): Promise<void> {
    say(lookTold, 'looking…');
    attribute(look, 'disabled', true);
    try {
      const found = (await controller.act((api) => api.ask<{ networks: FoundNetwork[] }>('networks', { body: {} }))).networks;
      putNetworks(found.filter((one, index) => one.wifi !== '' && found.findIndex((other) => other.wifi === one.wifi) === index));
      say(lookTold, found.length === 0 ? 'none found' : '');
    } catch (error) {
      say(lookTold, messageOf(error));
    }
    attribute(look, 'disabled', false);
  }

  const node = h(
    'div',
    { class: 'grid' },
    h(
      'div',
      {},
      section('Wi-Fi', ['wifi', 'wifi_password'], [row('Network', fields.wifi), networks, h('div', { class: 'bar' }, look, lookTold), row('Password', fields.wifi_password)], 'Takes effect at the next start. A wrong password leaves the controller’s own Wi-Fi open.'),
      section('Gateways', ['gateway_1', 'gateway_2'], [row('First', fields.gateway_1), row('Second', fields.gateway_2)], 'They are tried in turn, changed ones from the next connection on. Without a gateway the controller runs by itself.'),
    ),
    h(
      'div',
      {},
      section('Name and time', ['name', 'host', 'zone'], [row('Name', fields.name), row('Host name', fields.host, '.local'), row('Time zone', fields.zone), h('datalist', { id: 'zones' }, ...ZONES.map(([label, zone]) => h('option', { value: zone }, label)))], 'The time zone decides when schedules begin. Choose one, or write a POSIX TZ text.'),
      passwordPanel(controller),
    ),
    h('div', {}, updatePanel(controller), restartPanel(controller)),
  );

  async function load(names: readonly Name[] = Object.keys(fields) as Name[]): Promise<void> {
    const found = await controller.act((api) => api.ask<Settings>('settings'));
    settings = found;
    for (const name of names) fields[name].value = name === 'wifi_password' ? '' : found[name];
    attribute(fields.wifi_password, 'placeholder', found.has_wifi_password ? 'set; unchanged if empty' : 'none');
  }

  return { node, update: () => undefined, open: () => void (settings === null && load().catch(() => undefined)) };
}

function passwordPanel(controller: Controller): HTMLElement {
  const told = h('span', { class: 'told', role: 'status' });
  const current = h('input', { type: 'password', autocomplete: 'current-password', required: true });
  const next = h('input', { type: 'password', autocomplete: 'new-password', minlength: 8, maxlength: 64, required: true });
  const form = h('form', { class: 'panel' }, h('h2', {}, 'Password'), row('Present one', current), row('New one', next, '8 to 64 characters'), h('div', { class: 'bar' }, h('button', {}, 'Change'), told), h('p', { class: 'hint' }, 'Everybody else is logged out.'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(told, 'changing…');
    controller.act((api) => api.ask('password', { body: { current: current.value, password: next.value } })).then(
      () => {
        form.reset();
        say(told, 'changed');
      },
      (error: unknown) => say(told, messageOf(error)),
    );
  });
  return form;
}

function updatePanel(controller: Controller): HTMLElement {
  const told = h('span', { class: 'told', role: 'status' });
  const file = h('input', { type: 'file', accept: '.bin,.image', 'aria-label': 'Firmware image' });
  const bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Upload' });
  const send = h('button', {}, 'Upload');
  const form = h('form', { class: 'panel' }, h('h2', {}, 'Firmware'), file, bar, h('div', { class: 'bar' }, send, told), h('p', { class: 'hint' }, 'Outputs keep working during the upload. The new firmware runs after a restart, on trial; if it fails, this one returns.'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void upload();
  });

  async function upload(): Promise<void> {
    const image = file.files?.[0];
    if (image === undefined) {
      say(told, 'choose a file first');
      return;
    }
    attribute(send, 'disabled', true);
    show(bar, true);
    try {
      const bytes = new Uint8Array(await image.arrayBuffer());
      await controller.act((api) =>
        api.upload('update', bytes, (sent) => {
          bar.value = sent / bytes.length;
          say(told, `${Math.floor((100 * sent) / bytes.length)} %`);
        }),
      );
      say(told, 'checked; restart to run it');
    } catch (error) {
      say(told, messageOf(error));
    }
    show(bar, false);
    attribute(send, 'disabled', false);
  }
  return form;
}

function restartPanel(controller: Controller): HTMLElement {
  const told = h('span', { class: 'told', role: 'status' });
  const restart = async () => {
    const name = titleOf(controller.view);
    if (!(await confirmed(`Restart ${name}? Outputs are safe until the script runs again.`, 'Restart'))) return;
    try {
      await controller.act((api) => api.ask('restart', { body: {} }));
      say(told, 'restarting…');
      setTimeout(() => say(told, ''), RESTART_MS);
    } catch (error) {
      say(told, messageOf(error));
    }
  };
  return h('section', { class: 'panel' }, h('h2', {}, 'Restart'), h('div', { class: 'bar' }, h('button', { type: 'button', onclick: () => void restart() }, 'Restart…'), told));
}
