// An operator's story in a real browser on a real gateway: log in, see the list, switch a relay, read its receipt,
// see the change. `npm run story`, told by the environment: GATEWAY_URL, ACCOUNT, PASSWORD, and if wanted ADDRESS
// (any controller with a manual output otherwise), POINT (its first such output otherwise) and SCREENSHOTS (a
// folder). Ends with another code than 0 where a step fails; its last line is `story: ok, …`.

import type { Page } from 'playwright-core';
import { type Picture, setting, tellStory } from './browser';

/** Opens controllers in turn until one has an output that a person may switch. */
async function openSwitchable(page: Page): Promise<{ address: string; point: string }> {
  const wanted = process.env['ADDRESS'];
  const rows = page.locator(wanted === undefined ? '[data-testid^="row-"][data-online="true"]' : `[data-testid="row-${wanted}"]`);
  await rows.first().waitFor();
  for (const row of await rows.all()) {
    const address = await row.getAttribute('data-address');
    if (address === null) continue;
    await row.click();
    const pane = page.getByTestId(`controller-${address}`);
    await pane.locator('[data-testid^="state-"]').first().waitFor();
    const named = process.env['POINT'];
    // A switch of a digital output is a plain button; that of an analogue one stands in a form.
    const toggle = pane.locator(named === undefined ? 'button[type="button"][data-testid^="toggle-"], button:not([type])[data-testid^="toggle-"]' : `[data-testid="toggle-${named}"]`);
    if ((await toggle.count()) === 0) continue;
    const mark = await toggle.first().getAttribute('data-testid');
    if (mark !== null) return { address, point: mark.slice('toggle-'.length) };
  }
  throw new Error('expected a controller on line with a manual digital output');
}

async function tell(page: Page, picture: Picture): Promise<string> {
  await page.goto(setting('GATEWAY_URL'));
  await page.getByTestId('login-account').fill(setting('ACCOUNT'));
  await page.getByTestId('login-password').fill(setting('PASSWORD'));
  await picture('1-log-in');
  await page.getByTestId('login-submit').click();
  await page.locator('[data-testid="link-state"][data-state="live"]').waitFor();
  await page.locator('[data-testid^="row-"]').first().waitFor();
  await picture('2-live-list');

  const { address, point } = await openSwitchable(page);
  const state = page.getByTestId(`state-${point}`);
  const before = await state.getAttribute('data-value');
  const after = before === '0' ? '1' : '0';
  await picture('3-before');
  await page.getByTestId(`toggle-${point}`).click();
  const receipt = page.getByTestId(`receipt-${point}`);
  await receipt.and(page.locator('[data-final="true"]')).waitFor();
  const stage = await receipt.getAttribute('data-stage');
  const words = (await receipt.textContent())?.trim() ?? '';
  await picture('4-receipt');
  if (stage !== '4' && stage !== '5') throw new Error(`expected the command to be executed and read: ${words}`);
  await state.and(page.locator(`[data-value="${after}"]`)).waitFor();
  await page.getByTestId('why').locator('li').filter({ hasText: point }).first().waitFor();
  await picture('5-change-seen');
  return `No. ${address} ${point} ${before ?? '?'} > ${after}, ${words}`;
}

await tellStory(800, tell);
