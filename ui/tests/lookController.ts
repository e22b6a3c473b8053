// Takes pictures of every screen of the controller's own page, dark and light, wide and narrow, before a virtual
// controller that it starts for each: VIRTUAL_CONTROLLER (target/debug/virtual-controller), LOOK_FOLDER. Not a test:
// somebody has to look at them. The page comes from controller/dist, whatever the controller has built in.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium, type Page } from 'playwright-core';
import { CHROMIUM, CHROMIUM_ARGUMENTS } from './browser';
import { CONTROLLER_PASSWORD, PUMP_LINE, SAMPLE_SCRIPT, WRONG_SCRIPT } from './controllerSample';

type Picture = (name: string) => Promise<void>;

const program = process.env['VIRTUAL_CONTROLLER'] ?? resolve(new URL('../../target/debug/virtual-controller', import.meta.url).pathname);
const folder = resolve(process.env['LOOK_FOLDER'] ?? join(tmpdir(), 'switchyard-look-controller'));
const dist = new URL('../controller/dist/', import.meta.url);
const html = readFileSync(new URL('index.html', dist), 'utf8');
const policy = readFileSync(new URL('policy.txt', dist), 'utf8').trim();

/** A controller without a gateway whose DI1 flips, where its page is, and how it is ended. */
async function start(): Promise<{ url: string; stop: () => void }> {
  const child = spawn(program, ['--http', '127.0.0.1:0', '--input-period', '5'], { stdio: ['ignore', 'pipe', 'ignore'] });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /^its page is at (.*)$/.exec(line)?.[1];
    if (url !== undefined) return { url, stop: () => child.kill() };
  }
  throw new Error(`expected ${program} to tell where its page is`);
}

async function enter(page: Page, picture: Picture): Promise<void> {
  await page.getByTestId('password').waitFor();
  await picture('01-setup');
  await page.getByTestId('password').fill(CONTROLLER_PASSWORD);
  await page.getByTestId('password-again').fill(CONTROLLER_PASSWORD);
  await page.getByTestId('enter').click();
  await page.getByTestId('tab-now').waitFor();
}

async function script(page: Page, picture: Picture): Promise<void> {
  await page.getByTestId('tab-script').click();
  const text = page.getByTestId('script');
  await text.waitFor();
  await text.fill(WRONG_SCRIPT);
  await page.getByTestId('check').click();
  await page.getByTestId('script-message').filter({ hasText: /Line/ }).waitFor();
  await picture('02-script-error');
  await text.fill(SAMPLE_SCRIPT);
  await page.getByTestId('check').click();
  await page.getByTestId('script-message').filter({ hasText: 'No errors' }).waitFor();
  await picture('03-script-checked');
  await page.getByTestId('try').click();
  await page.getByTestId('revert').waitFor();
  await picture('04-on-trial');
  await page.getByTestId('commit').click();
  await page.getByTestId('script-message').filter({ hasText: 'stays' }).waitFor();
  await shadow(page, picture);
}

/** Looks into a scan: from the `pump` on, which each scan reaches, and what a line of no statement says. */
async function shadow(page: Page, picture: Picture): Promise<void> {
  const says = page.getByTestId('shadow');
  const at = SAMPLE_SCRIPT.indexOf('pump   :=');
  const caret = (place: number) => page.getByTestId('script').evaluate((text: HTMLTextAreaElement, to) => (text.focus(), text.setSelectionRange(to, to)), place);
  await caret(at);
  await page.getByTestId('stop').click();
  await says.filter({ hasText: `line ${PUMP_LINE} of` }).waitFor();
  await page.getByTestId('step').click();
  await page.getByTestId('step').click();
  await says.filter({ hasText: `line ${PUMP_LINE + 2} of` }).waitFor();
  await picture('15-shadow');
  await page.getByTestId('step').click();
  await page.getByTestId('step').click();
  await says.filter({ hasText: 'end of' }).waitFor();
  await picture('16-shadow-ended');
  await page.getByTestId('let-go').click();
  await caret(SAMPLE_SCRIPT.length);
  await page.getByTestId('stop').click();
  await says.filter({ hasText: 'No statement' }).waitFor();
}

async function now(page: Page, picture: Picture): Promise<void> {
  await page.getByTestId('tab-now').click();
  await page.getByTestId('point-lamp').getByRole('button', { name: /Switch/ }).click();
  await page.getByTestId('point-lamp').getByText('done').waitFor();
  await picture('05-now');
  await page.getByRole('button', { name: 'Force fan' }).click();
  await page.getByTestId('point-fan').getByRole('button', { name: 'Force', exact: true }).click();
  await page.getByTestId('point-fan').getByText(/forced, /).waitFor();
  await page.getByRole('button', { name: 'Force pump' }).click();
  await page.getByRole('button', { name: 'Change delay' }).click();
  const valve = page.getByTestId('point-valve');
  await valve.getByRole('textbox', { name: 'New value of valve' }).fill('85');
  await valve.getByRole('button', { name: 'Set' }).click();
  await page.getByText('ALARM').waitFor();
  await page.getByRole('button', { name: 'Run boost' }).click();
  await page.getByText(/refused/).waitFor();
  await picture('06-now-forced');
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await picture('07-now-below');
}

async function rest(page: Page, picture: Picture): Promise<void> {
  await page.getByTestId('tab-why').click();
  await page.locator('.entry').first().waitFor();
  await picture('08-why');
  await page.getByTestId('tab-settings').click();
  await page.getByRole('button', { name: 'Look for networks' }).click();
  await page.getByText('none found').waitFor();
  await picture('09-settings');
  const image = { name: 'no.image', mimeType: 'application/octet-stream', buffer: Buffer.alloc(5000, 7) };
  await page.getByLabel('Firmware image').setInputFiles(image);
  await page.getByRole('button', { name: 'Upload' }).click();
  await page.getByText(/image/).last().waitFor();
  await page.getByRole('button', { name: 'Upload' }).scrollIntoViewIfNeeded();
  await picture('10-update');
  await page.getByRole('button', { name: 'Restart…' }).click();
  await page.locator('dialog').waitFor();
  await picture('11-restart');
  await page.locator('dialog').getByRole('button', { name: 'Restart' }).click();
  await page.getByText('restarting…').waitFor();
  await picture('12-restarting');
  await page.getByTestId('password').waitFor();
  await page.getByTestId('password').fill('not this one');
  await page.getByTestId('enter').click();
  await page.getByTestId('enter-fault').filter({ hasText: /./ }).waitFor();
  await picture('13-log-in');
  await page.getByTestId('password').fill(CONTROLLER_PASSWORD);
  await page.getByTestId('enter').click();
  await page.getByText('has restarted').waitFor();
  await page.getByTestId('tab-why').click();
  await page.getByTestId('tab-now').click();
  await page.route('**/api/**', (route) => route.abort());
  await page.getByText(/does not answer/).waitFor();
  await picture('14-gone');
}

mkdirSync(folder, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), 'switchyard-chromium-'));
try {
  for (const colorScheme of ['dark', 'light'] as const) {
    for (const [width, height] of [[1280, 800], [360, 740]] as const) {
      const controller = await start();
      const context = await chromium.launchPersistentContext(join(profile, `${colorScheme}${width}`), {
        executablePath: CHROMIUM,
        args: CHROMIUM_ARGUMENTS,
        headless: true,
        colorScheme,
        viewport: { width, height },
        hasTouch: width < 500,
        isMobile: width < 500,
      });
      const page = await context.newPage();
      page.on('pageerror', (error) => console.error('page error', error));
      await page.route((at) => at.pathname === '/', (route) => route.fulfill({ body: html, contentType: 'text/html', headers: { 'Content-Security-Policy': policy } }));
      const picture = async (name: string) => {
        await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`) });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) console.error(`${name} at ${width}: ${wide} px too wide`);
      };
      try {
        await page.goto(controller.url);
        await enter(page, picture);
        await script(page, picture);
        await now(page, picture);
        await rest(page, picture);
      } catch (error) {
        await picture('failed');
        throw error;
      } finally {
        await context.close();
        controller.stop();
      }
    }
  }
} finally {
  rmSync(profile, { recursive: true, force: true });
}
console.log(`pictures are in ${folder}`);
