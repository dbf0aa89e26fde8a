/** The hot statements run along their indexes, however long the backlog is. */
import { afterEach, describe, expect, it } from 'vitest';
import { delayStatements } from '../../../src/storage/sqlite/delays.ts';
import { groupStatements } from '../../../src/storage/sqlite/groups.ts';
import { sumHidden } from '../../../src/storage/sqlite/ledger.ts';
import { messageStatements } from '../../../src/storage/sqlite/messages.ts';
import { receiveStatements } from '../../../src/storage/sqlite/receive.ts';
import { redriveStatements } from '../../../src/storage/sqlite/redrive.ts';
import { walkStatements } from '../../../src/storage/sqlite/redrive-walk.ts';
import { sendStatements } from '../../../src/storage/sqlite/send.ts';
import { settleStatements } from '../../../src/storage/sqlite/settle.ts';
import { openStore, type Store } from '../../../src/storage/sqlite/store.ts';
import { upkeepStatements } from '../../../src/storage/sqlite/upkeep.ts';
import { countingIds } from '../../support/ids.ts';
import { trialStart } from '../../support/storage.ts';

/** Statement → the index that serves it, or the table's own key. */
const plans: readonly (readonly [name: string, sql: string, index: RegExp])[] = [
  [
    'receive, standard',
    receiveStatements.selectVisible,
    /USING INDEX messages_visible \(backlog_id=\? AND visible_at>/,
  ],
  [
    'receive, of a group',
    receiveStatements.selectGroupMessages,
    /USING INDEX messages_group \(backlog_id=\? AND group_id=\? AND sequence>/,
  ],
  [
    'visible of groups',
    receiveStatements.selectGroupedVisible,
    /USING INDEX messages_grouped_visible \(backlog_id=\? AND visible_at>/,
  ],
  [
    'visible of one group',
    receiveStatements.selectOfTenant,
    /USING INDEX messages_tenant \(backlog_id=\? AND group_id=\? AND visible_at</,
  ],
  [
    'next group of a standard queue',
    receiveStatements.selectNextTenant,
    /USING COVERING INDEX messages_tenant \(backlog_id=\? AND group_id>/,
  ],
  ['next visible', receiveStatements.selectNextVisibleAt, /USING COVERING INDEX messages_visible \(backlog_id=\?\)/],
  ['next group', groupStatements.selectNext, /USING COVERING INDEX message_groups_ready/],
  ['next ready group', groupStatements.selectNextReadyAt, /USING COVERING INDEX message_groups_ready/],
  ['head of a group', groupStatements.selectHead, /USING INDEX messages_group/],
  ['one group', groupStatements.selectGroup, /USING PRIMARY KEY \(backlog_id=\? AND group_id=\?\)/],
  ['hide a received message', messageStatements.receiveMessage, /USING INTEGER PRIMARY KEY/],
  ['change a visibility', messageStatements.hideMessage, /USING INTEGER PRIMARY KEY/],
  ['move', messageStatements.moveMessage, /USING INTEGER PRIMARY KEY/],
  ['by id', messageStatements.selectById, /USING INTEGER PRIMARY KEY/],
  ['deduplication', sendStatements.selectDuplicate, /USING INDEX deduplications_key/],
  ['is a backlog live', settleStatements.selectIsLive, /USING COVERING INDEX queues_backlog/],
  ['sums of the hidden', sumHidden, /USING PRIMARY KEY \(backlog_id=\? AND width=\? AND at>/],
  ['changed delays', delayStatements.selectEnqueued, /USING INDEX messages_enqueued \(backlog_id=\? AND enqueued_at>/],
  ['past sums', upkeepStatements.deletePastHidden, /USING PRIMARY KEY \(backlog_id=\? AND width=\? AND at<\?\)/],
  ['expired', upkeepStatements.selectExpired, /USING INDEX messages_enqueued \(backlog_id=\? AND enqueued_at</],
  ['oldest', upkeepStatements.selectOldest, /USING COVERING INDEX messages_enqueued/],
  ['redrive walk', walkStatements.selectWalk, /USING INDEX messages_enqueued \(backlog_id=\? AND enqueued_at>/],
  [
    'redrive, next group',
    walkStatements.selectGroup,
    /USING COVERING INDEX message_groups_ready \(backlog_id=\? AND \(ready/,
  ],
  [
    'redrive, first of a group',
    walkStatements.selectFirstSequence,
    /USING COVERING INDEX messages_group \(backlog_id=\? AND g/,
  ],
  [
    'redrive, of a group',
    walkStatements.selectOfGroup,
    /USING INDEX messages_group \(backlog_id=\? AND group_id=\? AND s/,
  ],
  ['redrive plan', redriveStatements.selectOrigins, /USING INDEX messages_enqueued \(backlog_id=\? AND enqueued_at>/],
  ['task due', redriveStatements.selectDue, /USING INDEX tasks_due/],
];

describe('hot statements', () => {
  let store: Store;
  afterEach(() => store.close());

  it.each(plans)('serves "%s" along its index, without a scan or a sort', (_name, sql, index) => {
    store = openStore({ directory: ':memory:', ids: countingIds(), now: trialStart });
    const named = [...sql.matchAll(/@(\w+)/g)].map(([, name]) => [name, 1]);
    const byPlace = [...sql.matchAll(/\?/g)].map(() => 1);
    const parameters = named.length > 0 ? [Object.fromEntries(named)] : byPlace;
    const steps = store.db
      .prepare<unknown[], { detail: string }>(`explain query plan ${sql}`)
      .all(...parameters)
      .map(({ detail }) => detail);
    expect(steps.join('\n')).toMatch(index);
    const tableSteps = steps.filter((step) => !step.includes('subquery'));
    expect(tableSteps.filter((step) => /\bSCAN\b|TEMP B-TREE/.test(step))).toEqual([]);
  });
});
