// How the page is built (`dist/`, relative addresses, so that the gateway and the desktop may serve it from
// anywhere) and how its tests run.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  base: './',
  plugins: [svelte()],
  // Vitest would take Svelte's server half otherwise.
  resolve: process.env['VITEST'] ? { conditions: ['browser'] } : {},
  build: { target: 'es2022', outDir: 'dist', emptyOutDir: true, reportCompressedSize: true },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.ts', 'tests/**/*.test.ts', 'controller/**/*.test.ts'],
    restoreMocks: true,
  },
});
