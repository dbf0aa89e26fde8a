/**
 * Tools that tests need and npm does not bring. One that is missing fails the run, unless `SLUICE_TEST_WITHOUT` names it: a
 * test that is left out unseen proves nothing.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What must be on the machine, and a command that fails when it is not, or is too old. */
const tools = {
  npm: { is: 'npm', check: 'npm --version' },
  python: {
    is: 'Python 3.10 with ensurepip',
    check: `python3 -c 'import ensurepip, sys; print(sys.version); sys.exit(sys.version_info < (3, 10))'`,
  },
  go: { is: 'Go 1.24', check: 'go version' },
  java: { is: 'Java 17 with Maven', check: 'mvn --version && javac --release 17 -version' },
} as const;
export type Tool = keyof typeof tools;

/** The tools that are left out, as `SLUICE_TEST_WITHOUT` names them: `go,java`. @throws on a name that is none */
export function toolsLeftOut(list: string | undefined): ReadonlySet<Tool> {
  const isTool = (name: string): name is Tool => Object.hasOwn(tools, name);
  const names = (list ?? '').split(',').filter((name) => name !== '');
  const wrong = names.find((name) => !isTool(name));
  if (wrong !== undefined) {
    throw new Error(`SLUICE_TEST_WITHOUT names "${wrong}"; it can name ${Object.keys(tools).join(', ')}.`);
  }
  return new Set(names.filter(isTool));
}

const leftOut = toolsLeftOut(process.env.SLUICE_TEST_WITHOUT);

export const isToolLeftOut = (tool: Tool): boolean => leftOut.has(tool);

const shell = promisify(execFile);

/** What each tool says of its version. */
const versions = new Map<Tool, Promise<string>>();
/** @throws when it is missing */
export function versionOf(tool: Tool): Promise<string> {
  const found = versions.get(tool) ?? versionSaid(tool, tools[tool].check);
  versions.set(tool, found);
  return found;
}

/** @throws when the check fails: what is missing, and how to do without */
export async function versionSaid(tool: Tool, check: string): Promise<string> {
  try {
    return (await shell('bash', ['-c', check])).stdout;
  } catch (error) {
    const remedy = `Install it, or leave out what needs it: SLUICE_TEST_WITHOUT=${tool}.`;
    throw new Error(`This machine has no ${tools[tool].is}. ${remedy}`, { cause: error });
  }
}
