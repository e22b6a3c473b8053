// Puts the fake gateway behind real sockets: the built page, a log-in, and the WebSocket, on a free TCP port.

import { createReadStream, existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { extname, join, normalize, resolve } from 'node:path';
import { WebSocketServer } from 'ws';
import type { FakeGateway } from './fakeGateway';

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
