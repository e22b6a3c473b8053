// The story of whoever has just installed a gateway, in a real browser on a real one: the first account is made with the
// code out of the data folder, mistakes and all, and is logged in. `npm run setup-story`, told by the environment:
// GATEWAY_URL, SETUP_CODE, ACCOUNT, PASSWORD, and if wanted SCREENSHOTS (a folder). Ends with another code than 0 where a
// step fails; its last line is `story: ok, …`.

import type { Page } from 'playwright-core';
import { type Picture, setting, tellStory } from './browser';

async function tell(page: Page, picture: Picture): Promise<string> {
  const [account, password] = [setting('ACCOUNT'), setting('PASSWORD')];
  await page.goto(setting('GATEWAY_URL'));
  const code = page.getByTestId('setup-code');
  await code.waitFor();
  await picture('1-set-up');
  await code.fill('AAAAA-AAAAA-AAAAA-AAAAA');
  await page.getByTestId('setup-account').fill(account);
  await page.getByTestId('setup-password').fill(password);
  await page.getByTestId('setup-again').fill('something else');
  await page.getByTestId('setup-submit').click();
  await page.locator('[data-testid="setup-again"][aria-invalid]').waitFor();
  await picture('2-two-passwords');
  await page.getByTestId('setup-again').fill(password);
  await page.getByTestId('setup-submit').click();
  await page.locator('[data-testid="setup-code"][aria-invalid]').waitFor();
  await picture('3-wrong-code');
  await code.fill(setting('SETUP_CODE'));
  await page.getByTestId('setup-submit').click();
  await page.locator('[data-testid="link-state"][data-state="live"]').waitFor();
  await page.getByTestId('empty').waitFor();
  await picture('4-in');
  await page.getByTestId('log-out').click();
  await page.getByTestId('login-account').waitFor();
  await page.reload(); // There is an account now: nothing is to be set up.
  await page.getByTestId('login-account').waitFor();
  return `${account} is in`;
}

await tellStory(800, tell);
