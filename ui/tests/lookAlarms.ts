// Takes pictures of the alarm screens against the fake gateway, dark and light, wide and narrow, in English and Chinese:
// `npm run look-alarms`. Not a test: somebody has to look at them. It also measures how a storm of 500 alarms is drawn.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { CHROMIUM, CHROMIUM_ARGUMENTS } from './browser';
import { FakeAlarms } from './fakeAlarms';
import { FakeGateway } from './fakeGateway';
import { fillAlarms, fillPeople, fillStorm, LI } from './sampleAlarms';
import { fillYard } from './sampleYard';
import { serve } from './serveFake';

type Picture = (name: string) => Promise<void>;

async function logIn(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.getByTestId('login-account').fill('li');
  await page.getByTestId('login-password').fill('secret');
  await page.getByTestId('login-submit').click();
  await page.getByTestId('to-alarms').waitFor();
}

async function tour(page: Page, url: string, desk: FakeAlarms, picture: Picture): Promise<void> {
  await logIn(page, url);
  await page.getByTestId('to-alarms').click();
  await page.getByTestId('alarms-empty').waitFor();
  await picture('empty');
  fillPeople(desk, Date.now());
  const { water, pump, silent } = fillAlarms(desk, Date.now());
  // What a page keeps of sites and rights is read when it comes.
  await page.reload();
  await page.getByTestId(`alarm-${water}`).waitFor();
  await page.mouse.move(1, 1);
  await picture('list');
  await page.getByTestId(`alarm-parts-${silent}`).click();
  await page.getByTestId(`alarm-mark-${water}`).check();
  await page.getByTestId(`alarm-mark-${pump}`).check();
  desk.raise({ text: 'Power failure', severity: 'high', site: 1, source: { kind: 'rule', rule: 9 } });
  await page.getByTestId('alarms-waiting').waitFor();
  await picture('marked');
  await page.getByTestId('shelve-marked').click();
  await page.getByTestId('shelve-own').check();
  await picture('shelve');
  await page.getByTestId('shelve-dialog-cancel').click();
  await page.getByTestId('unmark').click();
  await page.locator('label', { has: page.getByTestId('alarms-over') }).click();
  await page.getByTestId('over-list').locator('li').first().waitFor();
  await picture('over');
  await page.locator('label', { has: page.getByTestId('alarms-open') }).click();
  await page.locator(`[data-alarm="${water}"]`).click();
  await page.getByTestId('time-line').waitFor();
  await picture('alarm');
  await page.goto(`${url}#/alarms/${silent}`);
  await page.getByTestId('time-line').waitFor();
  await picture('parts');
  await page.goto(`${url}#/100042`);
  await page.getByTestId('alarm-banner').waitFor();
  await picture('controller');
  await page.goto(`${url}#/alarms/on-call`);
  await page.getByTestId('calendar').locator('.bar').first().waitFor();
  await page.getByTestId('exception-add').click();
  await picture('on-call');
  await page.getByTestId('plan-edit').click();
  await page.getByTestId('turn-0-days').fill('0');
  await page.getByTestId('rung-wait-1').fill('soon');
  await page.getByTestId('plan-save').click();
  await picture('plan');
  await page.goto(`${url}#/alarms/contacts`);
  await page.getByTestId(`contact-${LI}`).waitFor();
  await picture('contacts');
  await page.getByTestId(`contact-${LI}`).click();
  await page.getByTestId('contact-email').fill('li at home');
  await page.getByTestId('contact-save').click();
  await page.locator('[data-testid=contact-email][aria-invalid]').waitFor();
  await picture('contact');
  await page.getByTestId('test-call').click();
  await page.getByTestId('test-stage').filter({ hasText: '…' }).waitFor();
  const call = Math.max(...desk.attempts.keys());
  desk.step(call, 'ringing');
  desk.step(call, 'answered');
  desk.step(call, 'told');
  desk.end(call, { kind: 'acknowledged' }, '1');
  await page.getByTestId('test-end').waitFor();
  await page.getByTestId('contact-test').scrollIntoViewIfNeeded();
  await picture('test');
  await page.goto(`${url}#/alarms/rules/1`);
  await page.getByTestId('rule-limit').waitFor();
  await picture('rule');
  await page.goto(`${url}#/alarms/sheet/0`);
  await page.getByTestId('sheet').waitFor();
  await picture('sheet');
}

/** The sheet as it comes out of a printer, of weekly and of daily hand-overs: how many pages, and what they look like. */
async function paper(page: Page, url: string, desk: FakeAlarms, picture: Picture): Promise<void> {
  fillPeople(desk, Date.now());
  await logIn(page, url);
  for (const days of [7, 1]) {
    const plan = desk.plans.get(0);
    if (plan !== undefined) desk.plans.set(0, { ...plan, rota: plan.rota.map((turn) => ({ ...turn, shift_days: days })) });
    await page.goto(`${url}#/alarms`);
    await page.goto(`${url}#/alarms/sheet/0`);
    await page.getByTestId('sheet').locator('tbody tr').first().waitFor();
    await page.emulateMedia({ media: 'print' });
    await picture(`paper-${days}`);
    await page.emulateMedia({ media: null });
    const pdf = (await page.pdf({ format: 'A4', preferCSSPageSize: true, path: join(folder, `sheet-${days}.pdf`) })).toString('latin1');
    console.log(`the sheet of hand-overs each ${days} days has ${pdf.match(/\/Type\s*\/Page\b/g)?.length ?? 0} page(s)`);
  }
}

/** How long 500 alarms take to be there, and how long the longest stretch is in which nothing else could be drawn. */
async function storm(page: Page, url: string, desk: FakeAlarms, picture: Picture): Promise<void> {
  fillPeople(desk, Date.now());
  await logIn(page, url);
  await page.getByTestId('to-alarms').click();
  await page.getByTestId('alarms-empty').waitFor();
  await page.evaluate(() => {
    const long: number[] = [];
    Object.assign(globalThis, { long });
    new PerformanceObserver((entries) => long.push(...entries.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
  });
  const before = Date.now();
  fillStorm(desk, before, 500);
  await page.locator('[data-testid^="alarm-"][data-state]').nth(499).waitFor({ state: 'attached' });
  const shownMs = Date.now() - before;
  for (let n = 0; n < 40; n++) {
    await page.mouse.move(300, 400);
    await page.mouse.wheel(0, 400);
    desk.change(desk.raise({ text: `One more ${n}`, severity: 'low' }), { times: 2 });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  }
  const long = await page.evaluate(() => (globalThis as unknown as { long: number[] }).long);
  await picture('storm');
  console.log(`500 alarms were there after ${shownMs} ms; of ${long.length} long tasks the longest took ${Math.round(Math.max(0, ...long))} ms`);
}

/** How many pixels of the longest pane cannot be seen without scrolling. */
function belowTheEdge(): number {
  const panes = [...document.querySelectorAll('*')].filter((each) => ['auto', 'scroll'].includes(getComputedStyle(each).overflowY));
  return Math.max(0, ...panes.map((pane) => pane.scrollHeight - pane.clientHeight));
}

/** Less than this is worth no picture of its own, and more than that shows nothing new. */
const BELOW_MIN = 24;
const BELOW_MAX = 2_500;

const folder = resolve(process.env['LOOK_FOLDER'] ?? join(tmpdir(), 'switchyard-look-alarms'));
mkdirSync(folder, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), 'switchyard-chromium-'));

async function visit(colorScheme: 'dark' | 'light', width: number, height: number, locale: string, go: typeof tour): Promise<void> {
  const gateway = new FakeGateway(Date.now);
  fillYard(gateway, Date.now());
  const desk = new FakeAlarms();
  desk.rights.set('li', { everywhere: 'technician', sites: [] });
  const { server, url } = await serve(gateway, false, desk);
  const context = await chromium.launchPersistentContext(join(profile, `${colorScheme}${width}${locale}${go.name}`), {
    executablePath: CHROMIUM,
    args: CHROMIUM_ARGUMENTS,
    headless: true,
    colorScheme,
    locale,
    timezoneId: 'Europe/Berlin',
    viewport: { width, height },
    hasTouch: width < 500,
    isMobile: width < 500,
  });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('pageerror', (error) => console.error('page error', error));
    await go(page, url, desk, async (name) => {
      const file = join(folder, `${name}-${locale}-${colorScheme}-${width}`);
      await page.screenshot({ path: `${file}.png`, fullPage: true });
      // What scrolls in a pane of its own is looked at to its end as well.
      const below = Math.min(await page.evaluate(belowTheEdge), BELOW_MAX);
      if (below < BELOW_MIN) return;
      await page.setViewportSize({ width, height: height + below });
      await page.screenshot({ path: `${file}-whole.png` });
      await page.setViewportSize({ width, height });
    });
  } finally {
    await context.close();
    server.closeAllConnections();
    server.close();
  }
}

try {
  for (const locale of ['en-GB', 'zh-CN']) {
    for (const colorScheme of ['dark', 'light'] as const) {
      for (const [width, height] of [[1280, 800], [360, 780]] as const) await visit(colorScheme, width, height, locale, tour);
    }
  }
  await visit('dark', 1280, 800, 'en-GB', paper);
  await visit('dark', 1280, 800, 'en-GB', storm);
} finally {
  rmSync(profile, { recursive: true, force: true });
}
console.log(`pictures are in ${folder}`);
