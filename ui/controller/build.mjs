// Builds the controller's own page: one HTML file with everything in it, compressed, the same bytes from the same
// sources; and its Content-Security-Policy, which names the hashes of its one script and one style.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const BYTES_MAX = 20 * 1024;

const here = new URL('.', import.meta.url).pathname;
const { output } = await build({
  root: here,
  configFile: false,
  logLevel: 'warn',
  base: './',
  build: { target: 'es2022', write: false, modulePreload: { polyfill: false }, cssCodeSplit: false, assetsInlineLimit: 0 },
});
const text = (part) => (part.type === 'chunk' ? part.code : String(part.source)).trim();
const one = (ending) => {
  const found = output.filter((part) => part.fileName.endsWith(ending));
  if (found.length !== 1) throw new Error(`expected one ${ending} and found ${found.length}`);
  return text(found[0]);
};
const script = one('.js');
const style = one('.css');
if (/<\/script|<!--/i.test(script)) throw new Error('the script would end the page too early');
const page = one('.html')
  .replace(/<script type="module"[^>]*><\/script>/, '')
  .replace(/<link rel="stylesheet"[^>]*>/, '')
  .replace(/>\s+</g, '><')
  .replace('</head>', () => `<style>${style}</style></head>`)
  .replace('</body>', () => `<script type="module">${script}</script></body>`);
if (!page.includes(`>${script}<`) || !page.includes(`>${style}<`)) throw new Error('the page lost what belongs in it');

const hash = (words) => `'sha256-${createHash('sha256').update(words).digest('base64')}'`;
const policy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
const packed = gzipSync(page, { level: 9 });
packed[9] = 255; // which system it was made on is nobody's business, and would make the bytes differ
if (packed.length > BYTES_MAX) throw new Error(`the page has ${packed.length} bytes compressed; expected at most ${BYTES_MAX}`);
const folder = `${here}dist`;
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
writeFileSync(`${folder}/index.html`, page);
writeFileSync(`${folder}/index.html.gz`, packed);
writeFileSync(`${folder}/policy.txt`, `${policy}\n`);
console.log(`controller's page: ${page.length} bytes, ${packed.length} compressed (at most ${BYTES_MAX})`);
