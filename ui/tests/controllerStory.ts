// The owner's story on the controller's own page, in a real browser: the first password, a script with an error, its
// trial, switching, forcing, a parameter, why, a restart, and a trial that the restart ends. `npm run controller-story`
// before a new controller on the virtual board whose DI1 flips and whose gateway is there, told by the environment:
// CONTROLLER_URL, and if wanted SCREENSHOTS (a folder). Ends with another code than 0 where a step fails; its last
// line is `story: ok, …`.

import type { Page } from 'playwright-core';
import { type Picture, setting, tellStory } from './browser';
import { CONTROLLER_PASSWORD, PUMP_LINE, SAMPLE_SCRIPT, WRONG_SCRIPT, WRONG_WORD } from './controllerSample';

function expect(what: string, found: unknown, wanted: unknown): void {
  if (found !== wanted) throw new Error(`expected ${what} to be ${String(wanted)} and found ${String(found)}`);
}

const point = (page: Page, name: string) => page.getByTestId(`point-${name}`);

async function waitForValue(page: Page, name: string, value: string): Promise<void> {
  await point(page, name).locator('.value').filter({ hasText: new RegExp(`^${value}$`) }).waitFor();
}

async function setUp(page: Page): Promise<void> {
  await page.getByTestId('password').fill(CONTROLLER_PASSWORD);
  await page.getByTestId('password-again').fill('something else');
  await page.getByTestId('enter').click();
  await page.getByTestId('enter-fault').filter({ hasText: 'not the same' }).waitFor();
  await page.getByTestId('password-again').fill(CONTROLLER_PASSWORD);
  await page.getByTestId('enter').click();
  await page.getByText('on line', { exact: true }).waitFor();
}

/** Writes a script with an error, reads what is wrong, mends it, tries it, and keeps it. */
async function writeScript(page: Page): Promise<void> {
  await page.getByTestId('tab-script').click();
  const text = page.getByTestId('script');
  await text.fill(WRONG_SCRIPT);
  await page.getByTestId('check').click();
  const message = page.getByTestId('script-message');
  await message.filter({ hasText: `Line ${PUMP_LINE}, column` }).waitFor();
  expect('the line that is marked', await page.locator('.numbers .wrong').textContent(), String(PUMP_LINE));
  const mark = page.locator('.marks mark');
  expect('what is underlined', await mark.textContent(), WRONG_WORD);
  const style = await mark.evaluate((element) => getComputedStyle(element).textDecorationStyle);
  expect('the underline', style, 'wavy');
  // The mark lies behind its word: at the height of its line's number.
  const tops = await page.evaluate(() => [document.querySelector('.marks mark'), document.querySelector('.numbers .wrong')].map((element) => element?.getBoundingClientRect().top ?? 0));
  if (Math.abs((tops[0] ?? 0) - (tops[1] ?? 99)) > 8) throw new Error(`expected the mark beside its line's number and found ${tops.join(' and ')}`);
  const bubble = page.locator('.bubble');
  await bubble.filter({ hasText: `found “${WRONG_WORD}”` }).waitFor();
  await bubble.filter({ hasText: 'Declare it above' }).waitFor();
  expect('whether a wrong script may be tried', await page.getByTestId('try').isEnabled(), false);

  await text.fill(SAMPLE_SCRIPT);
  await page.getByTestId('check').click();
  await message.filter({ hasText: 'No errors' }).waitFor();
  await page.getByTestId('try').click();
  await page.getByText(/^On trial: stays by itself in (10:00|9:\d\d)\./).waitFor();
  await page.getByTestId('commit').click();
  await message.filter({ hasText: 'It stays.' }).waitFor();
  await page.getByTestId('commit').waitFor({ state: 'hidden' });
}

/** Sees the pump follow the door, and goes to the line that says so. */
async function follow(page: Page): Promise<void> {
  await page.getByTestId('tab-now').click();
  await waitForValue(page, 'pump', 'ON');
  await waitForValue(page, 'pump', 'off');
  await waitForValue(page, 'pump', 'ON');
  await point(page, 'pump').getByRole('link', { name: `line ${PUMP_LINE}` }).click();
  const chosen = await page.getByTestId('script').evaluate((area: HTMLTextAreaElement) => area.value.slice(area.selectionStart, area.selectionEnd));
  expect('the line that is shown', chosen.split(' ')[0], 'pump');
  await page.getByTestId('tab-now').click();
}

async function useIt(page: Page): Promise<void> {
  await point(page, 'lamp').getByRole('button', { name: 'Switch on lamp' }).click();
  await point(page, 'lamp').getByText('done').waitFor();
  await waitForValue(page, 'lamp', 'ON');
  await point(page, 'lamp').getByText('from here').waitFor();

  await page.getByRole('button', { name: 'Force lamp' }).click();
  await point(page, 'lamp').getByLabel('Value').selectOption('off');
  await point(page, 'lamp').getByRole('button', { name: 'Force', exact: true }).click();
  await point(page, 'lamp').getByText(/^forced, (1:00|0:\d\d) left$/).waitFor();
  await waitForValue(page, 'lamp', 'off');
  await page.getByRole('button', { name: 'Let go of lamp' }).click();
  await waitForValue(page, 'lamp', 'ON');
  await point(page, 'lamp').getByText('force ended').waitFor();

  await page.getByRole('button', { name: 'Run boost' }).click();
  await page.locator('.command').getByText('done').waitFor();

  await page.getByRole('button', { name: 'Change delay' }).click();
  await page.getByLabel('New value of delay').fill('11m');
  await page.getByLabel('New value of delay').press('Enter');
  await page.getByText('out of range').waitFor();
  await page.getByLabel('New value of delay').fill('45s');
  await page.getByLabel('New value of delay').press('Enter');
  await page.getByText('45s', { exact: true }).waitFor();
}

async function readWhy(page: Page): Promise<void> {
  await page.getByTestId('tab-why').click();
  const entry = (name: string, value: string, why: string) => page.locator('.entry').filter({ hasText: name }).filter({ hasText: value }).filter({ hasText: why }).first().waitFor();
  await entry('lamp', 'ON', 'from here');
  await entry('lamp', 'off', 'force');
  await entry('pump', 'ON', `line ${PUMP_LINE}`);
}

/** Restarts the controller by its page, and logs in again. */
async function restart(page: Page): Promise<void> {
  await page.getByTestId('tab-settings').click();
  await page.getByRole('button', { name: 'Restart…' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Restart' }).click();
  await page.getByTestId('password').waitFor();
  expect('whether a password is to be set', await page.getByTestId('password-again').isVisible(), false);
  await page.getByTestId('password').fill('not this one');
  await page.getByTestId('enter').click();
  await page.getByTestId('enter-fault').filter({ hasText: 'not the password' }).waitFor();
  await page.getByTestId('password').fill(CONTROLLER_PASSWORD);
  await page.getByTestId('enter').click();
  await page.getByText('The controller has restarted.').waitFor();
}

async function waitForScript(page: Page, source: string): Promise<void> {
  await page.getByTestId('tab-script').click();
  await page.waitForFunction((wanted) => document.querySelector('textarea')?.value === wanted, source);
}

async function tell(page: Page, picture: Picture): Promise<string> {
  await page.goto(setting('CONTROLLER_URL'));
  await setUp(page);
  await writeScript(page);
  await picture('1-kept');
  await follow(page);
  await useIt(page);
  await picture('2-used');
  await readWhy(page);
  await picture('3-why');

  await restart(page);
  await waitForScript(page, SAMPLE_SCRIPT);
  await page.getByTestId('tab-now').click();
  await page.getByText('45s', { exact: true }).waitFor();
  await waitForValue(page, 'lamp', 'off');
  await readWhy(page);
  await picture('4-restarted');

  // What is only on trial does not outlive a restart.
  await page.getByTestId('tab-script').click();
  await page.getByTestId('script').fill('out lamp = RL3 safe off\nlamp := true\n');
  await page.getByTestId('check').click();
  await page.getByTestId('script-message').filter({ hasText: 'No errors' }).waitFor();
  await page.getByTestId('try').click();
  await page.getByTestId('revert').waitFor();
  await page.getByTestId('tab-now').click();
  await point(page, 'pump').waitFor({ state: 'hidden' });
  await waitForValue(page, 'lamp', 'ON');
  await restart(page);
  await waitForScript(page, SAMPLE_SCRIPT);
  expect('whether it is on trial', await page.getByTestId('revert').isVisible(), false);
  await page.getByTestId('tab-now').click();
  await point(page, 'pump').waitFor();
  await picture('5-reverted');
  return 'a script was written, tried and kept, and outlived a restart';
}

await tellStory(900, tell);
