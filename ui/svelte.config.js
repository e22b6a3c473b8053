// Read by svelte-check and by the Vite plugin: runes everywhere, and no warning ignored.
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default { compilerOptions: { runes: true }, preprocess: vitePreprocess() };
