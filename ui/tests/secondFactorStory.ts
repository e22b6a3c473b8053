// A log-in with a second factor, in a real browser on a real gateway: the code is asked for once the password is right, a
// wrong one is refused, the right one lets in. `npm run second-factor-story`, told by the environment: GATEWAY_URL,
// ACCOUNT, PASSWORD, SECRET (as the account's app is told it, in base 32), and if wanted SCREENSHOTS (a folder). Ends with
// another code than 0 where a step fails; its last line is `story: ok, …`.

import { createHmac } from 'node:crypto';
import type { Page } from 'playwright-core';
import { type Picture, setting, tellStory } from './browser';

const STEP_MS = 30_000;

function fromBase32(text: string): Buffer {
  const bits = [...text].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

/** What an app shows now (RFC 6238). */
function codeNow(secret: Buffer): string {
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / STEP_MS)));
  const tag = createHmac('sha1', secret).update(step).digest();
  const part = tag.readUInt32BE((tag.at(-1) ?? 0) & 15) & 0x7fff_ffff;
  return String(part % 1_000_000).padStart(6, '0');
}

async function tell(page: Page, picture: Picture): Promise<string> {
  const secret = fromBase32(setting('SECRET'));
  await page.goto(setting('GATEWAY_URL'));
  await page.getByTestId('login-account').fill(setting('ACCOUNT'));
  await page.getByTestId('login-password').fill(setting('PASSWORD'));
  await page.getByTestId('login-submit').click();
  const field = page.getByTestId('login-code');
  await field.and(page.locator(':focus')).waitFor();
  await picture('1-code-needed');
  // Another code than the one that counts now.
  const wrong = String((Number(codeNow(secret)) + 1) % 1_000_000).padStart(6, '0');
  await field.fill(wrong);
  await page.getByTestId('login-submit').click();
  await page.getByTestId('login-fault').filter({ hasText: /./ }).waitFor();
  await picture('2-wrong-code');
  await field.fill(codeNow(secret).replace(/^.../, '$& ')); // As apps show it, in two groups.
  await page.getByTestId('login-submit').click();
  await page.locator('[data-testid="link-state"][data-state="live"]').waitFor();
  await picture('3-in');
  return `${setting('ACCOUNT')} is in`;
}

await tellStory(800, tell);
