// Puts the fake gateway behind real sockets: the built page, a log-in, and the WebSocket, on a free TCP port.

import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { extname, join, normalize, resolve } from 'node:path';
import { WebSocketServer } from 'ws';
import type { FakeAlarms } from './fakeAlarms';
import type { FakeGateway } from './fakeGateway';

const DIST = resolve(import.meta.dirname, '../dist');
const SOURCES = resolve(import.meta.dirname, '../src');
const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** Makes the first account of a new fake gateway. */
export const SETUP_CODE = 'ABCDE-FGHJK-LMNPQ-RSTUV';
/** What the second factor of `wang` shows, always. */
export const ONE_TIME_CODE = '123456';

/** Pictures and stories of a page that was built before it was last written tell of a page that is no more. */
function expectFresh(): void {
  const built = statSync(join(DIST, 'index.html'), { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined) throw new Error('expected ui/dist/index.html: run `npm run build` first');
  // Tests are not built, and of bindings nothing is left.
  const isBuilt = (file: string) => !file.endsWith('.test.ts') && !file.startsWith('lib/bindings');
  const younger = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).find((file) => isBuilt(file) && statSync(join(SOURCES, file)).mtimeMs > built);
  if (younger !== undefined) throw new Error(`ui/dist is older than ui/src/${younger}: run \`npm run build\` first`);
}
expectFresh();

/**
 * Serves the built page, the WebSocket, and a log-in that takes `li` / `secret`, or `wang` with the same and a code. One that
 * is new has no account until the first is made. The rest of the API is that of `alarms`, where there are any.
 */
export async function serve(gateway: FakeGateway, isNew = false, alarms: FakeAlarms | null = null): Promise<{ server: Server; url: string }> {
  let account: string | null = null;
  let needsSetup = isNew;
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://fake').pathname;
    const json = (status: number, body: object) => response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    const refuse = (status: number, code: string) => json(status, { code, detail: code });
    const session = () => json(200, { account, role: 'operator' });
    if (path === '/api/session') return account !== null ? session() : refuse(401, 'not_logged_in');
    if (path === '/api/setup' && request.method === 'GET') return json(200, { needed: needsSetup });
    if (path === '/api/logout') {
      account = null;
      return response.writeHead(204).end();
    }
    if (path === '/api/login' || path === '/api/setup') {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      return request.on('end', () => {
        const said = JSON.parse(body) as Record<string, string>;
        if (path === '/api/setup') {
          if (said['setup_code'] !== SETUP_CODE) return refuse(403, 'bad_setup_code');
          needsSetup = false;
        } else {
          if (needsSetup || said['password'] !== 'secret') return refuse(401, 'bad_credentials');
          if (said['account'] === 'wang' && said['code'] === undefined) return refuse(401, 'code_needed');
          if (said['account'] === 'wang' && said['code'] !== ONE_TIME_CODE) return refuse(401, 'bad_credentials');
        }
        account = said['account'] ?? '';
        return session();
      });
    }
    if (path.startsWith('/api/')) {
      if (account === null) return refuse(401, 'not_logged_in');
      if (alarms === null) return refuse(404, 'not_found');
      const caller = account;
      const gone = new AbortController();
      response.on('close', () => gone.abort());
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      return request.on('end', () => {
        const asked = alarms.handle(request.method ?? 'GET', (request.url ?? '/').slice(1), body === '' ? undefined : JSON.parse(body), caller, gone.signal);
        asked.then(
          (answer) => (answer.body === null ? response.writeHead(answer.status).end() : json(answer.status, answer.body as object)),
          () => response.destroy(),
        );
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
