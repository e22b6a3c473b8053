// Runs one of the TypeScript programs beside it: `node tests/run.mjs look`. Node 20 reads no TypeScript itself.

import { runnerImport } from 'vite';

const [name] = process.argv.slice(2);
if (name === undefined || !/^[a-z]+$/i.test(name)) throw new Error('expected the name of a program in tests/');
const root = new URL('..', import.meta.url).pathname;
try {
  await runnerImport(new URL(`${name}.ts`, import.meta.url).pathname, { root, configFile: false, logLevel: 'error' });
  process.exit(0);
} catch (error) {
  console.error(error);
  process.exit(1);
}
