/**
 * Cuts the power of a whole disk, with no code of ours between a server and what is left: its data lie on ext4 in an
 * image file, the image lies on XFS, and a reflink of the image is the disk at one instant, without all that had not
 * reached it. ext4 replays its journal, the engine opens, and what the clients had been told before is there.
 *
 * The device of this test keeps all that it was given; power-loss.test.ts has the stricter ones.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { instant } from '../../src/domain/instant.ts';
import { chance } from '../support/chance.ts';
import { type Ack, Deeds, problemsOf } from '../support/deeds.ts';
import { runMixedLoad } from '../support/mixed-load.ts';
import { startServer, temporaryFolder } from '../support/process.ts';
import { sizeOf } from '../support/sizes.ts';

const cutCount = sizeOf('powerCuts');
const seed = 20_261_124;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** @throws with what the command said */
function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  return stdout.trim();
}

const runBeside = promisify(execFile);

/** Mounts an image. @returns what unmounts it */
function mount(image: string, at: string): () => void {
  mkdirSync(at, { recursive: true });
  const device = run('losetup', '-f', '--show', image);
  const detach = () => void spawnSync('losetup', ['-d', device]);
  try {
    run('mount', device, at);
  } catch (error) {
    detach();
    throw error;
  }
  return () => {
    spawnSync('umount', ['-l', at]);
    detach();
  };
}

/** An image of ext4 on a file system that can copy it in no time. @throws where this user or machine cannot mount */
function makeDisk(folder: string): { readonly image: string; readonly at: string } {
  if (spawnSync('mkfs.xfs', ['-V']).status !== 0) {
    run('apt-get', 'update', '-q');
    run('apt-get', 'install', '-y', '-q', 'xfsprogs');
  }
  const [outer, outerAt, at] = ['outer.img', 'outer', 'disk'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  run('truncate', '-s', '1200M', outer);
  run('mkfs.xfs', '-q', '-m', 'reflink=1', outer);
  onTestFinished(mount(outer, outerAt));
  const image = join(outerAt, 'inner.img');
  run('truncate', '-s', '256M', image);
  run('mkfs.ext4', '-q', '-F', image);
  onTestFinished(mount(image, at));
  return { image, at };
}

describe('a power cut of the whole disk', () => {
  it(`loses nothing that was acknowledged, at ${cutCount} instants under load`, async (context) => {
    let disk: ReturnType<typeof makeDisk>;
    const folder = temporaryFolder();
    try {
      disk = makeDisk(folder);
    } catch (error) {
      return context.skip(`there is no disk to cut: ${error instanceof Error ? error.message : String(error)}`);
    }
    const server = startServer(join(disk.at, 'data'));
    const url = await server.url;
    const deeds = new Deeds();
    const acks = new Set<Ack>();
    let count = 0;
    const number = () => {
      count += 1;
      return count;
    };
    let isOver = false;
    const onAck = (ack: Ack) => void acks.add(ack);
    const load = runMixedLoad({
      url,
      deeds,
      number,
      onAck,
      random: chance(seed),
      isHeavy: false,
      isOver: () => isOver,
    }).finally(() => {
      isOver = true;
    });
    const problems: string[] = [];
    const copy = join(disk.image, '..', 'copy.img');
    for (let cut = 0; cut < cutCount; cut += 1) {
      // There is always something new to lose.
      for (const before = acks.size; acks.size < before + 20 && !isOver; ) await sleep(5);
      const before = new Set(acks);
      await runBeside('cp', ['--reflink=always', disk.image, copy]);
      const after = new Set(acks);
      const at = join(folder, 'copy');
      const unmount = mount(copy, at);
      const moment = { isAcked: (ack: Ack) => before.has(ack), mayBeAcked: (ack: Ack) => after.has(ack) };
      problems.push(...problemsOf(join(at, 'data'), deeds, { ...moment, now: instant(Date.now()) }));
      unmount();
      rmSync(copy);
    }
    isOver = true;
    await load;
    server.child.kill('SIGTERM');
    expect((await server.ended).code).toBe(0);
    console.log(`${acks.size} answers, ${deeds.messageCount} messages, ${cutCount} cuts`);
    expect(problems).toEqual([]);
  });
});
