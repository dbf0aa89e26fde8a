/**
 * The build: few files instead of two thousand, since most of a start is finding and reading modules. Packages with files
 * of their own beside their code stay outside.
 */
import { defineConfig } from 'rolldown';

export default defineConfig({
  platform: 'node',
  input: {
    'cli/index': 'src/cli/index.ts',
    'http-thread': 'src/http-thread.ts',
    'storage/sqlite/writer-thread': 'src/storage/sqlite/writer-thread.ts',
  },
  external: [/^better-sqlite3/, /^@scalar\//],
  output: { dir: 'dist', format: 'esm', entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
});
