/** `npm run openapi`: writes the documents beside this file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { writeDocuments } from './documents.ts';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
for (const [name, text] of Object.entries(await writeDocuments(manifest.version))) {
  writeFileSync(new URL(name, import.meta.url), text);
}
