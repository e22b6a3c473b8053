// Where the page starts: it picks its host, and shows the screens on it.

import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';
import type { Host } from './lib/host/types';
import { texts } from './lib/texts';

async function pickHost(): Promise<Host> {
  const { createHost } = '__TAURI_INTERNALS__' in globalThis ? await import('./lib/host/tauri') : await import('./lib/host/web');
  return createHost();
}

document.documentElement.lang = texts.language;
const target = document.getElementById('app');
if (target === null) throw new Error('expected an element #app');
mount(App, { target, props: { host: await pickHost() } });
