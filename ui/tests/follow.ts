// A page in a real browser that somebody else directs: it logs in, opens a controller, says every value of a point as
// `POINT VALUE`, and does what standard input asks: `toggle POINT`, `shot FILE`, `note` (says the note on show), `write
// NUMBER LINE` (sends a note). Told by the environment: GATEWAY_URL, ACCOUNT, PASSWORD, ADDRESS, POINT. Ends when
// standard input does.

import { createInterface } from 'node:readline';
import { setting, withPage } from './browser';

const [address, point] = [setting('ADDRESS'), setting('POINT')];
await withPage(800, async (page) => {
  await page.exposeFunction('say', (line: string) => console.log(line));
  await page.goto(setting('GATEWAY_URL'));
  await page.getByTestId('login-account').fill(setting('ACCOUNT'));
  await page.getByTestId('login-password').fill(setting('PASSWORD'));
  await page.getByTestId('login-submit').click();
  await page.getByTestId(`row-${address}`).click();
  await page.getByTestId(`state-${point}`).waitFor();
  await page.evaluate((name) => {
    const { say } = globalThis as unknown as { say: (line: string) => void };
    let told: string | undefined;
    const look = () => {
      const value = document.querySelector<HTMLElement>(`[data-testid="state-${name}"]`)?.dataset['value'];
      if (value !== undefined && value !== told) say(`${name} ${value}`);
      told = value;
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
    look();
  }, point);
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, what = '', ...rest] = line.split(' ');
    if (word === 'toggle') await page.getByTestId(`toggle-${what}`).click();
    else if (word === 'shot') await page.screenshot({ path: what });
    else if (word === 'note') console.log(`note ${(await page.getByTestId('note-banner').first().textContent()) ?? ''}`);
    else if (word === 'write') {
      await page.getByTestId('note-write').click();
      await page.getByTestId('note-to').fill(what);
      await page.getByTestId('note-text').fill(rest.join(' '));
      await page.getByTestId('note-send').click();
      await page.getByTestId('note-sent').filter({ hasText: what }).waitFor();
      await page.getByTestId('note-close').click();
    } else throw new Error(`expected toggle, shot, note or write and read ${line}`);
    console.log(`done ${line}`);
  }
});
