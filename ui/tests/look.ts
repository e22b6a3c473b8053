// Takes pictures of every screen against the fake gateway, dark and light, wide and narrow: `npm run look [folder]`.
// Not a test: somebody has to look at them.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { CHROMIUM, CHROMIUM_ARGUMENTS } from './browser';
import { FakeGateway } from './fakeGateway';
import { addNewcomer, fillYard } from './sampleYard';
import { ONE_TIME_CODE, serve, SETUP_CODE } from './serveFake';

async function tour(page: Page, url: string, gateway: FakeGateway, picture: (name: string) => Promise<void>): Promise<void> {
  await page.goto(url);
  await page.getByTestId('setup-code').waitFor();
  await picture('setup');
  await page.getByTestId('setup-code').fill(SETUP_CODE);
  await page.getByTestId('setup-account').fill('li');
  await page.getByTestId('setup-password').fill('short');
  await page.getByTestId('setup-again').fill('shor');
  await page.getByTestId('setup-submit').click();
  await page.locator('[data-testid=setup-again][aria-invalid]').waitFor();
  await picture('setup-wrong');
  await page.getByTestId('setup-password').fill('some long words');
  await page.getByTestId('setup-again').fill('some long words');
  await page.getByTestId('setup-submit').click();
  await page.getByTestId('log-out').click();
  await page.getByTestId('login-account').fill('wang');
  await page.getByTestId('login-password').fill('wrong');
  await page.getByTestId('login-submit').click();
  await page.getByTestId('login-fault').filter({ hasText: /./ }).waitFor();
  await picture('login');
  await page.getByTestId('login-password').fill('secret');
  await page.getByTestId('login-submit').click();
  await page.getByTestId('login-code').fill('000 000');
  await picture('code');
  await page.getByTestId('login-submit').click();
  await page.getByTestId('login-fault').filter({ hasText: /./ }).waitFor();
  await picture('code-wrong');
  await page.getByTestId('login-code').fill(ONE_TIME_CODE);
  await page.getByTestId('login-submit').click();
  await page.getByTestId('empty').locator('code').waitFor();
  await picture('empty');
  fillYard(gateway, Date.now());
  await page.reload(); // What was there when the page came is not new to it.
  await page.getByTestId('row-100042').waitFor();
  await page.locator('[data-testid=link-state][data-state=live]').waitFor();
  addNewcomer(gateway, Date.now());
  await page.getByTestId('row-100053').waitFor();
  await picture('fleet');
  await page.getByTestId('row-100042').click();
  await page.getByTestId('toggle-RL2').waitFor();
  await page.getByTestId('call-pulse').waitFor();
  gateway.hold = 'before_executed';
  await page.getByTestId('toggle-RL2').click();
  await page.getByTestId('receipt-RL2').filter({ hasText: 'asked' }).waitFor();
  await picture('asked');
  gateway.release();
  await page.getByTestId('receipt-RL2').filter({ hasText: 'done' }).waitFor();
  await page.getByTestId('toggle-RL1').click();
  await page.getByTestId('receipt-RL1').filter({ hasText: 'confirmed' }).waitFor();
  gateway.change(100042, [{ name: 'DI1', value: 1, cause: { kind: 5, by: null, reference: null } }]);
  gateway.change(100042, [{ name: 'RL3', value: 0, cause: { kind: 1, by: null, reference: 12 } }]);
  gateway.change(100042, [{ name: 'RL3', value: 1, cause: { kind: 2, by: 0x8000_0007, reference: 0x8f2c1234 } }]);
  gateway.note(0x8000_0007, 'I am at pump house 3, please leave RL1 alone for ten minutes.');
  await page.getByTestId('argument-pulse-t').fill('2min');
  await page.getByTestId('call-pulse').click();
  await page.getByTestId('note-banner').filter({ hasText: 'pump house 3' }).waitFor();
  await picture('controller');
  await page.getByTestId('note-reply').click();
  await page.getByTestId('note-text').fill('I shall stay away from it.');
  await picture('note');
  await page.getByTestId('note-close').click();
  gateway.mute = true;
  gateway.dropAll();
  await page.locator('[data-testid=link-state][data-state=waiting]').waitFor();
  await picture('gone');
}

const folder = resolve(process.env['LOOK_FOLDER'] ?? join(tmpdir(), 'switchyard-look'));
mkdirSync(folder, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), 'switchyard-chromium-'));
try {
  for (const colorScheme of ['dark', 'light'] as const) {
    for (const [width, height] of [[1280, 800], [360, 780]] as const) {
      const gateway = new FakeGateway(Date.now);
      const { server, url } = await serve(gateway, true);
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
      await tour(page, url, gateway, async (name) => {
        await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`), fullPage: true });
      });
      await context.close();
      server.closeAllConnections();
      server.close();
    }
  }
} finally {
  rmSync(profile, { recursive: true, force: true });
}
console.log(`pictures are in ${folder}`);
