// Takes pictures of the controller's own page, dark and light, wide and narrow, against a running stand-in without a
// password (`cargo run -p switchyard-firmware --example built-in-page`): CONTROLLER_URL, LOOK_FOLDER. Not a test:
// somebody has to look at them. The page comes from ui/controller/dist, whatever the stand-in has built in.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { CHROMIUM, CHROMIUM_ARGUMENTS } from './browser';

const PASSWORD = 'correct horse';
const url = process.env['CONTROLLER_URL'] ?? 'http://127.0.0.1:8042/';
const folder = resolve(process.env['LOOK_FOLDER'] ?? join(tmpdir(), 'switchyard-look-controller'));
const dist = new URL('../controller/dist/', import.meta.url);
const html = readFileSync(new URL('index.html', dist), 'utf8');
const policy = readFileSync(new URL('policy.txt', dist), 'utf8').trim();

const WRONG = 'out lamp = RL3 safe off\nlamp := lmp or boot\n';

async function enter(page: Page, picture: (name: string) => Promise<void>): Promise<void> {
  const isNew = async () => page.getByTestId('password-again').isVisible();
  await page.getByTestId('password').waitFor();
  if (await isNew()) {
    await picture('setup');
    await page.getByTestId('password').fill(PASSWORD);
    await page.getByTestId('password-again').fill(PASSWORD);
  } else {
    await page.getByTestId('password').fill('not this one');
    await page.getByTestId('enter').click();
    await page.getByTestId('enter-fault').filter({ hasText: /./ }).waitFor();
    await picture('login');
    await page.getByTestId('password').fill(PASSWORD);
  }
  await page.getByTestId('enter').click();
}

async function tour(page: Page, picture: (name: string) => Promise<void>): Promise<void> {
  await page.goto(url);
  await enter(page, picture);
  await page.getByTestId('point-spare').waitFor();
  await page.getByTestId('point-spare').getByRole('button', { name: /Switch/ }).click();
  await page.getByTestId('point-spare').getByText('done').waitFor();
  await page.getByRole('button', { name: 'Force lamp' }).click();
  await page.getByTestId('point-lamp').getByRole('button', { name: 'Force', exact: true }).click();
  await page.getByTestId('point-lamp').getByText(/forced, /).waitFor();
  await page.getByRole('button', { name: 'Run boost' }).click();
  await page.getByRole('button', { name: 'Force fan' }).click();
  await page.waitForTimeout(1500);
  await picture('now');
  await page.getByTestId('tab-script').click();
  const script = page.getByTestId('script');
  await script.waitFor();
  await picture('script');
  const source = await script.inputValue();
  await script.fill(source.replace('lamp := house.busy', 'lamp := hose.busy'));
  await page.getByTestId('check').click();
  await page.getByTestId('script-message').filter({ hasText: /Line/ }).waitFor();
  await picture('error');
  await script.fill(WRONG.replace('lmp', 'lamp'));
  await page.getByTestId('check').click();
  await page.getByTestId('script-message').filter({ hasText: 'No errors' }).waitFor();
  await page.getByTestId('try').click();
  await page.getByTestId('revert').waitFor();
  await picture('trial');
  await page.getByTestId('revert').click();
  await page.getByTestId('script-message').filter({ hasText: 'old script' }).waitFor();
  await page.getByTestId('tab-why').click();
  await page.locator('.entry').first().waitFor();
  await picture('why');
  await page.getByTestId('tab-settings').click();
  await page.getByRole('button', { name: 'Look for networks' }).click();
  await page.getByRole('button', { name: /guest/ }).waitFor();
  await picture('settings');
  await page.getByRole('button', { name: 'Restart…' }).click();
  await page.locator('dialog').waitFor();
  await picture('dialog');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByTestId('tab-now').click();
  await page.route('**/api/**', (route) => route.abort());
  await page.getByText(/does not answer/).waitFor();
  await picture('gone');
  await page.unroute('**/api/**');
  await page.getByText('on line', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByTestId('password').waitFor();
}

mkdirSync(folder, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), 'switchyard-chromium-'));
try {
  for (const colorScheme of ['dark', 'light'] as const) {
    for (const [width, height] of [[1280, 800], [360, 740]] as const) {
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
      page.on('console', (message) => message.type() === 'error' && console.error('console', message.text()));
      await page.route((at) => at.pathname === '/', (route) => route.fulfill({ body: html, contentType: 'text/html', headers: { 'Content-Security-Policy': policy } }));
      await tour(page, async (name) => {
        await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`) });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) console.error(`${name} at ${width}: ${wide} px too wide`);
      });
      await context.close();
    }
  }
} finally {
  rmSync(profile, { recursive: true, force: true });
}
console.log(`pictures are in ${folder}`);
