// The controller's own page: puts the screens together, and says above them how things stand.

import { attribute, h, say, show } from './dom';
import { enterScreen } from './enter';
import { span } from './format';
import { nowScreen } from './now';
import { scriptScreen } from './script';
import { settingsScreen } from './settings';
import { Controller, titleOf } from './state';
import { whyScreen } from './why';

const controller = new Controller();
const enter = enterScreen(controller);
const settings = settingsScreen(controller);
const script = scriptScreen(controller);
const screens = {
  now: { title: 'Now', ...nowScreen(controller) },
  script: { title: 'Script', ...script },
  why: { title: 'Why', ...whyScreen(controller) },
  settings: { title: 'Settings', ...settings },
};
type Screen = keyof typeof screens;

const name = h('h1');
const number = h('span', { class: 'own' });
const lamp = h('span', { class: 'lamp', 'aria-hidden': 'true' });
const linkText = h('span', { role: 'status' });
const link = h('span', { class: 'link' }, lamp, linkText);
const logOut = h('button', { type: 'button', class: 'quiet', onclick: () => void leave() }, 'Log out');
const tabs = new Map<string, HTMLAnchorElement>();
const nav = h('nav', { 'aria-label': 'Screens' });
for (const [key, screen] of Object.entries(screens)) {
  const tab = h('a', { href: `#${key}`, 'data-testid': `tab-${key}` }, screen.title);
  tabs.set(key, tab);
  nav.append(tab);
}
const notice = h('p', { class: 'notice', hidden: true, role: 'status' });
const header = h('header', {}, name, number, link, logOut, nav);
const main = h('main', {}, ...Object.values(screens).map((screen) => screen.node));
document.body.replaceChildren(header, notice, main, enter.node);

function chosen(): Screen {
  const [key = ''] = location.hash.slice(1).split(':');
  return key in screens ? (key as Screen) : 'now';
}

async function leave(): Promise<void> {
  try {
    await controller.act((api) => api.ask('logout', { body: {} }));
  } finally {
    controller.view.session = null;
    await controller.poll();
  }
}

const LINK = { down: 'no gateway reached', opening: 'connecting…', live: 'on line', none: 'no gateway set' };

function update(): void {
  const { view } = controller;
  const isIn = view.session?.state === 'open' || (view.session === null && view.live !== null && !view.reachable);
  const mayEnter = !isIn && view.session !== null;
  show(header, isIn || !view.reachable);
  show(main, isIn);
  show(enter.node, mayEnter);
  if (mayEnter) enter.update();
  if (view.session !== null) {
    say(name, titleOf(view));
    document.title = `${titleOf(view)} – Switchyard`;
  }
  say(number, view.status === null || view.session?.name === '' ? '' : `No. ${view.status.address}`);
  attribute(document.body, 'class', view.reachable ? '' : 'stale');
  attribute(link, 'class', `link ${view.reachable ? (view.live?.link ?? '') : 'gone'}`);
  say(linkText, view.reachable ? (view.live === null ? '' : LINK[view.live.link]) : `does not answer, last heard ${span(Date.now() - view.heardAt)} ago`);
  if (view.heardAt === 0 && !view.reachable) say(linkText, 'does not answer, trying again');
  const stopped = view.live?.script === 'stopped';
  say(notice, stopped ? 'The script is stopped after repeated faults. Outputs are safe; the last reason is under Why.' : view.restarted ? 'The controller has restarted.' : '');
  show(notice, isIn && notice.textContent !== '');
  const key = chosen();
  for (const [other, tab] of tabs) attribute(tab, 'aria-current', other === key ? 'page' : false);
  for (const [other, screen] of Object.entries(screens)) show(screen.node, other === key);
  if (!isIn) return;
  screens[key].update();
  if (key === 'settings') settings.open();
}

addEventListener('hashchange', () => {
  controller.view.restarted = false;
  update();
  const [, line] = location.hash.split(':');
  if (line !== undefined) script.goTo(Number(line));
});
addEventListener('beforeunload', (event) => {
  if (script.isDirty()) event.preventDefault();
});
setInterval(update, 1000);
update();
controller.start(update);
