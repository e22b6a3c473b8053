// Which browser drives the page, and how it is started: Debian's Chromium, calling nobody. Around it what every program
// in this folder that tells a story needs: its settings, a page of its own, pictures, and faults of the page made known.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';

export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

export const CHROMIUM_ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const STEP_TIMEOUT_MS = 30_000;

/** What the environment says under that name; throws where it says nothing. */
export function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`expected ${name} in the environment`);
  return value;
}

/** Lends a page in a browser with a new profile, 1280 pixels wide; both are gone afterwards. A step may take 30 s. */
export async function withPage(height: number, use: (page: Page) => Promise<void>): Promise<void> {
  const profile = mkdtempSync(join(tmpdir(), 'switchyard-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    args: CHROMIUM_ARGUMENTS,
    headless: true,
    viewport: { width: 1280, height },
  });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(STEP_TIMEOUT_MS);
    await use(page);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Takes a picture of the page under that name, where SCREENSHOTS in the environment names a folder for them. */
export type Picture = (name: string) => Promise<void>;

/**
 * Tells a story in a page and prints `story: ok, ` with the ending that it returns. Throws where a step fails, after a
 * picture `failed`, and where the page threw an error or wrote one to the console: a broken policy, for one. That a
 * request was refused is no fault: before a log-in it should be.
 */
export async function tellStory(height: number, tell: (page: Page, picture: Picture) => Promise<string>): Promise<void> {
  const folder = process.env['SCREENSHOTS'];
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  await withPage(height, async (page) => {
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && !message.text().startsWith('Failed to load resource') && faults.push(message.text()));
    const picture: Picture = async (name) => {
      if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) });
    };
    try {
      const ending = await tell(page, picture);
      if (faults.length > 0) throw new Error(`expected no fault in the page and saw ${faults.join('; ')}`);
      console.log(`story: ok, ${ending}`);
    } catch (error) {
      await picture('failed').catch(() => undefined);
      throw error;
    }
  });
}
