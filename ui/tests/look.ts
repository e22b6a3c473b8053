// Takes pictures of every screen against the fake gateway, dark and light, wide and narrow: `npm run look [folder]`.
// Not a test: somebody has to look at them.

import { createReadStream, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize, resolve } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { WebSocketServer } from 'ws';
import { CHROMIUM, CHROMIUM_ARGUMENTS } from './browser';
import { FakeGateway } from './fakeGateway';
import { fillYard } from './sampleYard';

const DIST = resolve(import.meta.dirname, '../dist');
const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** Serves the built page, a log-in that takes `li` / `secret`, and the WebSocket. */
export async function serve(gateway: FakeGateway): Promise<{ server: Server; url: string }> {
  let loggedIn = false;
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://fake').pathname;
    const json = (status: number, body: object) => response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    if (path === '/api/session') return loggedIn ? json(200, { account: 'li', role: 'operator' }) : json(401, { code: 'not_logged_in' });
    if (path === '/api/logout') {
      loggedIn = false;
      return response.writeHead(204).end();
    }
    if (path === '/api/login') {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      return request.on('end', () => {
        loggedIn = body.includes('"secret"');
        json(loggedIn ? 200 : 401, loggedIn ? { account: 'li', role: 'operator' } : { code: 'bad_credentials', detail: 'wrong' });
      });
    }
    const file = join(DIST, normalize(path === '/' ? '/index.html' : path));
    if (!file.startsWith(DIST) || !existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' });
    return createReadStream(file).pipe(response);
  });
  const sockets = new WebSocketServer({ server, path: '/ws', handleProtocols: () => 'switchyard.1' });
  sockets.on('connection', (socket) => {
    const connection = gateway.connect({ send: (bytes) => socket.send(bytes), close: () => socket.terminate() });
    socket.on('message', (data: Buffer) => connection.receive(new Uint8Array(data)));
    socket.on('close', () => connection.closed());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('expected a TCP port');
  return { server, url: `http://127.0.0.1:${bound.port}/` };
}

async function tour(page: Page, url: string, gateway: FakeGateway, picture: (name: string) => Promise<void>): Promise<void> {
  await page.goto(url);
  await page.getByTestId('login-account').fill('li');
  await page.getByTestId('login-password').fill('wrong');
  await page.getByTestId('login-submit').click();
  await page.getByTestId('login-fault').filter({ hasText: /./ }).waitFor();
  await picture('login');
  await page.getByTestId('login-password').fill('secret');
  await page.getByTestId('login-submit').click();
  await page.getByTestId('empty').locator('code').waitFor();
  await picture('empty');
  fillYard(gateway, Date.now());
  await page.getByTestId('row-100042').waitFor();
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
  await page.getByTestId('note-banner').filter({ hasText: 'Console' }).waitFor();
  await picture('controller');
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
    for (const [width, height] of [[1280, 800], [390, 844]] as const) {
      const gateway = new FakeGateway(Date.now);
      const { server, url } = await serve(gateway);
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
        await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`) });
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
