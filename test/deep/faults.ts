/**
 * The faults that `npm run test:faults` puts into the source, one at a time, and for each the test that must turn red. A
 * test of the fast ones sees that each can still be put in, so whoever changes such a line changes its fault too.
 */

/** What stands in the source exactly once in this place, and what a tired programmer might have written instead. */
export type Edit = { readonly file: string; readonly from: string; readonly to: string };
export type Fault = { readonly edits: readonly Edit[]; readonly test: string; readonly project: 'fast' | 'deep' };

const sqlite = 'src/storage/sqlite';
const powerLoss = { test: 'test/deep/power-loss.test.ts', project: 'deep' } as const;

export const faults: Readonly<Record<string, Fault>> = {
  'commits do not wait for the disk': {
    ...powerLoss,
    edits: [
      {
        file: `${sqlite}/database.ts`,
        from: "db.pragma('journal_mode = WAL');\n  db.pragma('synchronous = FULL');",
        to: "db.pragma('journal_mode = WAL');",
      },
      { file: `${sqlite}/database.ts`, from: 'if (mode !== 2) {', to: 'if (mode === 0) {' },
    ],
  },
  'requests are answered before the commit': {
    ...powerLoss,
    edits: [
      {
        file: `${sqlite}/store.ts`,
        from: 'begin.run();\n    const changesBefore',
        to: 'if (db.inTransaction) commit.run();\n    begin.run();\n    const changesBefore',
      },
      { file: `${sqlite}/store.ts`, from: 'commit.run();\n    afterCommit', to: 'afterCommit' },
    ],
  },
  'a failed disk is told as a refusal': {
    test: 'test/rest/errors.test.ts',
    project: 'fast',
    edits: [
      {
        file: 'src/rest/errors.ts',
        from: 'storageFailed: {\n    status: 500',
        to: 'storageFailed: {\n    status: 400',
      },
    ],
  },
  'a receipt is compared by message alone': {
    test: 'test/storage/sqlite-file.test.ts',
    project: 'fast',
    edits: [
      {
        file: `${sqlite}/settle.ts`,
        from: 'row.receives !== receipt.receive || row.heldUntil <= now',
        to: 'row.heldUntil <= now',
      },
    ],
  },
  'who holds a message is forgotten at a restart': {
    ...powerLoss,
    edits: [
      {
        file: `${sqlite}/store.ts`,
        from: '  ensureState(db, options);',
        to: "  ensureState(db, options);\n  db.exec('update messages set visible_at = enqueued_at, held_until = 0');",
      },
    ],
  },
  'a message moves in two transactions': {
    ...powerLoss,
    edits: [
      {
        file: `${sqlite}/messages.ts`,
        from: 'left(from, row, now);\n      ledger.keep',
        to: "left(from, row, now);\n      db.exec('commit; begin immediate');\n      ledger.keep",
      },
    ],
  },
  'deduplication looks at the clock of the machine': {
    test: 'test/storage/sqlite-file.test.ts',
    project: 'fast',
    edits: [{ file: `${sqlite}/send.ts`, from: 'first.expiresAt >= now', to: 'first.expiresAt >= Date.now()' }],
  },
  'the clock follows the wall': {
    test: 'test/deep/machine.test.ts',
    project: 'deep',
    edits: [{ file: 'src/clock.ts', from: 'instant(base + performance.now())', to: 'instant(Date.now())' }],
  },
  'numbers are given again after a restart': {
    test: 'test/storage/sqlite-file.test.ts',
    project: 'fast',
    edits: [{ file: `${sqlite}/ledger.ts`, from: ' next_number = @nextNumber,', to: '' }],
  },
  'checksums are not looked at': {
    test: 'test/deep/damage.test.ts',
    project: 'deep',
    edits: [
      {
        file: `${sqlite}/messages.ts`,
        from: 'checksumOf(row, bytesOfId(row.messageId), body) === row.checksum',
        to: 'body !== null',
      },
    ],
  },
  'the horizon is not written': {
    test: 'test/deep/damage.test.ts',
    project: 'deep',
    edits: [{ file: `${sqlite}/store.ts`, from: '      horizon?.write(commitNumber);\n', to: '' }],
  },
  'long polls go on while the server stops': {
    test: 'test/main.test.ts',
    project: 'fast',
    edits: [{ file: 'src/frontend.ts', from: '      broker.drain();\n', to: '' }],
  },
  'the hash of a signed body is taken from its header': {
    test: 'test/sqs/signature.test.ts',
    project: 'fast',
    edits: [
      {
        file: 'src/sqs/signature.ts',
        from: "const payloadHash = hash('sha256', request.rawBody, 'hex');",
        to: "const payloadHash = claim.headers.get('x-amz-content-sha256') ?? hash('sha256', request.rawBody, 'hex');",
      },
    ],
  },
  'a commit gives out as much as it is asked for': {
    test: 'test/storage/sqlite/writer.test.ts',
    project: 'fast',
    edits: [{ file: `${sqlite}/store.ts`, from: 'givenBytes >= limits.commitGivenBytesMax', to: 'givenBytes < 0' }],
  },
  'a receive that is put off is overtaken for ever': {
    test: 'test/storage/sqlite/writer.test.ts',
    project: 'fast',
    edits: [{ file: `${sqlite}/writer.ts`, from: '    this.#isOldestNext = !this.#isOldestNext;\n', to: '' }],
  },
  'bytes that were committed count as waiting': {
    test: 'test/storage/sqlite/writer.test.ts',
    project: 'fast',
    edits: [{ file: `${sqlite}/writer.ts`, from: '    this.#waitingBytes -= bytes;\n', to: '' }],
  },
  'what finds no room in the answer stays hidden': {
    test: 'test/broker/messages.test.ts',
    project: 'fast',
    edits: [
      {
        file: 'src/broker/messages.ts',
        from: '    await giveBack(principal, queue, options, answer);\n    throw refusal;',
        to: '    throw refusal;',
      },
    ],
  },
  'a repeated attempt loses what it was given to the first one that left': {
    test: 'test/storage/sqlite.test.ts',
    project: 'fast',
    edits: [
      {
        file: `${sqlite}/receive.ts`,
        from: 'if (attempts.wasRepeated(book.backlogId, attemptId)) return { undoneCount: 0 };',
        to: '',
      },
    ],
  },
  'an answer is bounded by the room alone': {
    test: 'test/rest/receive.test.ts',
    project: 'fast',
    edits: [
      {
        file: 'src/broker/messages.ts',
        from: 'Math.min(limits.receiveBytesMax, options.room?.freeBytes() ?? limits.receiveBytesMax)',
        to: 'options.room?.freeBytes() ?? limits.receiveBytesMax',
      },
    ],
  },
  'a waiter that leaves takes its ring along': {
    test: 'test/broker/waiters.test.ts',
    project: 'fast',
    edits: [{ file: 'src/broker/waiters.ts', from: '          if (place.isRung) ringNow(line, 1);\n', to: '' }],
  },
  'upkeep forgets a deduplication id a millisecond early': {
    test: 'test/storage/sqlite.test.ts',
    project: 'fast',
    edits: [{ file: `${sqlite}/upkeep.ts`, from: 'where expires_at < @now)', to: 'where expires_at <= @now)' }],
  },
  'a group is noisy with what it holds no longer': {
    test: 'test/storage/sqlite/shares.test.ts',
    project: 'fast',
    edits: [
      {
        file: `${sqlite}/messages.ts`,
        from: 'if (!isFifo(book.queue)) shares.hold(book.queue.id, row.groupId, row.heldUntil, now, -1);',
        to: '',
      },
    ],
  },
  'a backup is restored unseen': {
    test: 'test/storage/sqlite/backup.test.ts',
    project: 'fast',
    edits: [
      {
        file: `${sqlite}/backup.ts`,
        from: "    requireWhole(db, { now: instant(0), horizon: readHorizon(folder) }, 'The backup');\n",
        to: '',
      },
    ],
  },
  'one condition of a policy is enough': {
    test: 'test/sqs/policy.test.ts',
    project: 'fast',
    edits: [
      {
        file: 'src/sqs/policy.ts',
        from: 'conditions.every((condition) => holds(condition, ask))',
        to: '(conditions.length === 0 || conditions.some((condition) => holds(condition, ask)))',
      },
    ],
  },
  'a key is good after its end': {
    test: 'test/domain/access-key.test.ts',
    project: 'fast',
    edits: [
      {
        file: 'src/domain/access-key.ts',
        from: 'return isRight && key !== undefined && isInForce(key, now);',
        to: 'return isRight && key !== undefined;',
      },
    ],
  },
};
