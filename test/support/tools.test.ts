/** A machine without a tool that tests need fails the run, unless the tool is left out by name. */
import { expect, it } from 'vitest';
import { toolsLeftOut, versionSaid } from './tools.ts';

it('says which tool is missing and how to do without', async () => {
  await expect(versionSaid('go', 'no-such-program')).rejects.toThrow(
    'This machine has no Go 1.24. Install it, or leave out what needs it: SLUICE_TEST_WITHOUT=go.',
  );
});

it('leaves out the tools that are named, and no other', () => {
  expect(toolsLeftOut(undefined)).toEqual(new Set());
  expect(toolsLeftOut('')).toEqual(new Set());
  expect(toolsLeftOut('go,java')).toEqual(new Set(['go', 'java']));
  expect(() => toolsLeftOut('go,rust')).toThrow('SLUICE_TEST_WITHOUT names "rust"; it can name npm, python, go, java.');
});
