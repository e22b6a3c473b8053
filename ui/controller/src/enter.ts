// Before everything else: the first password, or the log-in.

import { Fault, messageOf } from './api';
import { attribute, h, say, show } from './dom';
import { row } from './settings';
import { type Controller, titleOf } from './state';
import type { Session } from './types';

/** The screen, and how it is brought up to date. */
export function enterScreen(controller: Controller): { node: HTMLElement; update: () => void } {
  const title = h('h1');
  const lead = h('p', { class: 'lead' });
  const password = h('input', { type: 'password', maxlength: 64, required: true, 'data-testid': 'password' });
  const again = h('input', { type: 'password', maxlength: 64, autocomplete: 'new-password', 'data-testid': 'password-again' });
  const againRow = row('Once more', again);
  const told = h('p', { class: 'told', role: 'alert', 'data-testid': 'enter-fault' });
  const button = h('button', { class: 'primary', 'data-testid': 'enter' });
  const form = h('form', { class: 'panel enter' }, title, lead, row('Password', password), againRow, told, button);
  let waitUntil = 0;
  let busy = false;
  let state: Session['state'] | null = null;

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void submit();
  });

  async function submit(): Promise<void> {
    if (busy || Date.now() < waitUntil) return;
    const isSetUp = controller.view.session?.state === 'setup';
    if (isSetUp && password.value.length < 8) return say(told, 'Expected at least 8 characters.');
    if (isSetUp && password.value !== again.value) return say(told, 'The two are not the same.');
    busy = true;
    say(told, '');
    update();
    try {
      await controller.act((api) => api.ask(isSetUp ? 'setup' : 'login', { body: { password: password.value } }));
      form.reset();
      controller.view.session = null;
      await controller.poll();
    } catch (error) {
      waitUntil = Date.now() + (error instanceof Fault ? (error.problem.wait_ms ?? 0) : 0);
      const says = messageOf(error);
      say(told, `${says.charAt(0).toUpperCase()}${says.slice(1)}.`);
      password.select();
    }
    busy = false;
    update();
  }

  function update(): void {
    const session = controller.view.session;
    if (session === null || session.state === 'open') return;
    const isSetUp = session.state === 'setup';
    say(title, titleOf(controller.view));
    const words = {
      setup: 'A new controller. Set the password that opens this page: there is no other one, and nobody can read it back.',
      setup_closed: 'This controller has no password yet, and set-up is over. Switch it off and on again; for ten minutes after that a password can be set.',
      login: 'Log in to see and switch it.',
      open: '',
    };
    say(lead, words[session.state]);
    for (const element of [password.parentElement, button]) if (element !== null) show(element, session.state !== 'setup_closed');
    show(againRow, isSetUp);
    attribute(password, 'autocomplete', isSetUp ? 'new-password' : 'current-password');
    const wait = Math.ceil((waitUntil - Date.now()) / 1000);
    attribute(button, 'disabled', busy || wait > 0);
    say(button, busy ? 'One moment…' : wait > 0 ? `Wait ${wait} s` : isSetUp ? 'Set password' : 'Log in');
    if (state !== session.state) {
      state = session.state;
      password.focus();
    }
  }

  setInterval(update, 500);
  return { node: form, update };
}
