-- Queues, their messages and what a queue service keeps beside them.
--
-- A queue's messages lie in its backlog. Purging gives the queue a fresh, empty backlog and leaves the old one to
-- upkeep, so a purge costs the same for one message and for a million.
-- Instants are milliseconds since 1970 (UTC). `number`s come from one counter that never goes back (engine_state).

create table engine_state (
  id            integer primary key constraint engine_state_is_one_row check (id = 1),
  -- Rises with every commit; the horizon file beside the database must never be ahead of it.
  commit_number integer not null,
  -- Made anew by a restore, so that a horizon of other data is told apart.
  epoch         blob not null constraint epoch_is_16_bytes check (length(epoch) = 16),
  next_number   integer not null,
  -- The latest instant that any operation was done at: time never starts before it.
  high_water_at integer not null,
  -- Seals receipt handles.
  seal_secret   blob not null constraint seal_secret_is_32_bytes check (length(seal_secret) = 32)
) strict;

create table queues (
  -- Never given again, or a receipt of a deleted queue would fit the next one.
  id                  integer primary key autoincrement,
  account             text not null,
  name                text not null,
  kind                text not null constraint queue_kind_is_known check (kind in ('standard', 'fifo')),
  settings            text not null constraint queue_settings_are_json check (json_valid(settings)),
  -- What the scope was at creation: a later change of the setting does not change the behaviour.
  deduplication_scope text not null,
  backlog_id          integer not null,
  version             integer not null,
  created_at          integer not null,
  modified_at         integer not null,
  dead_letter_queue   text generated always as (settings ->> '$.deadLetter.queue') virtual,
  constraint queue_name_is_unique unique (account, name),
  constraint fifo_names_end_in_fifo check ((kind = 'fifo') = (name like '%.fifo'))
) strict;
create unique index queues_backlog on queues (backlog_id);
create index queues_dead_letter on queues (account, dead_letter_queue, name) where dead_letter_queue is not null;

-- Counted as messages come and go, so that no one ever counts a backlog.
create table queue_counters (
  queue_id      integer primary key,
  message_count integer not null constraint message_count_is_not_negative check (message_count >= 0),
  bytes         integer not null constraint bytes_are_not_negative check (bytes >= 0),
  sent          integer not null,
  received      integer not null,
  deleted       integer not null,
  redelivered   integer not null,
  dead_lettered integer not null,
  expired       integer not null,
  purged        integer not null,
  redriven      integer not null,
  quarantined   integer not null
) strict;

create table messages (
  -- Given once, also told in the last 48 bits of the message id, kept when a message moves to another queue.
  id                integer primary key,
  backlog_id        integer not null,
  -- The order within a FIFO queue; a fresh number when a message moves.
  sequence          integer not null,
  -- From when on it can be received.
  visible_at        integer not null,
  -- Until when the newest receipt holds it; 0 when nobody does.
  held_until        integer not null,
  -- The start of its retention: when it was sent, or when it came to this queue.
  enqueued_at       integer not null,
  sent_at           integer not null,
  is_fifo           integer not null,
  receive_count     integer not null,
  -- Receives in its whole life: which receipt is the newest. Never reset, not even by a redrive.
  receives          integer not null,
  first_received_at integer not null,
  last_received_at  integer not null,
  bytes             integer not null,
  -- 1: the body lies in message_bodies, so that a change of visibility does not rewrite it.
  is_large          integer not null,
  checksum          integer not null,
  message_id        blob not null,
  group_id          text not null,
  deduplication_id  text not null,
  content_type      text not null,
  attributes        text not null,
  history           text not null,
  body              blob not null,
  constraint message_is_held_only_while_hidden check (held_until <= visible_at),
  constraint received_messages_tell_when check ((receive_count = 0) = (first_received_at = 0))
) strict;
-- Standard queues are received along this index, the longest visible first.
create index messages_visible on messages (backlog_id, visible_at, id) where is_fifo = 0;
-- FIFO queues: a group in order.
create index messages_group on messages (backlog_id, group_id, sequence) where is_fifo = 1;
-- Retention, peeking and redrive walk along this one.
create index messages_enqueued on messages (backlog_id, enqueued_at, id);

create table message_bodies (
  message_id integer primary key,
  body       blob not null
) strict;

-- One row per message group that has messages. A group's next message can be received from ready_at on; among the
-- ready ones the group that became so first is served first, and `turn` orders those of one instant.
create table message_groups (
  backlog_id    integer not null,
  group_id      text not null,
  ready_at      integer not null,
  turn          integer not null,
  message_count integer not null constraint group_has_messages check (message_count > 0),
  primary key (backlog_id, group_id)
) strict, without rowid;
create index message_groups_ready on message_groups (backlog_id, ready_at, turn);

-- How many messages become visible (hidden) or stop being held (held) at an instant: in flight and delayed are
-- sums over the future. Kept twice: per millisecond (width 1) and per ten seconds (width 10000), so that a sum reads
-- a bounded number of rows. Rows of the past are removed by upkeep.
create table hidden_counts (
  backlog_id integer not null,
  width      integer not null,
  at         integer not null,
  hidden     integer not null,
  held       integer not null,
  primary key (backlog_id, width, at)
) strict, without rowid;

-- FIFO deduplication: the first accepted send of an id. Rows are in the order of time, so upkeep removes from the front.
create table deduplications (
  id               integer primary key,
  backlog_id       integer not null,
  -- The group id where the scope is the message group, else empty.
  scope            text not null,
  deduplication_id text not null,
  message_id       blob not null,
  sequence         integer not null,
  expires_at       integer not null
) strict;
create unique index deduplications_key on deduplications (backlog_id, scope, deduplication_id);

create table idempotency_keys (
  id          integer primary key,
  queue_id    integer not null,
  operation   text not null,
  key         text not null,
  fingerprint text not null,
  answer      text not null,
  expires_at  integer not null
) strict;
create unique index idempotency_keys_key on idempotency_keys (queue_id, operation, key);

create table receive_attempts (
  id         integer primary key,
  backlog_id integer not null,
  attempt_id text not null,
  -- [[message, receive, heldUntil], …]
  answer     text not null,
  expires_at integer not null
) strict;
create unique index receive_attempts_key on receive_attempts (backlog_id, attempt_id);

-- Backlogs whose messages are dead: purged, or of a deleted queue.
create table dead_backlogs (backlog_id integer primary key) strict;

create table tasks (
  number             integer primary key,
  task_id            text not null constraint task_id_is_unique unique,
  account            text not null,
  source_queue_id    integer not null,
  source             text not null,
  destination        text,
  rate_per_second    integer,
  move_limit         integer,
  status             text not null constraint task_status_is_known
                       check (status in ('running', 'completed', 'cancelled', 'failed')),
  moved_count        integer not null,
  to_move_count      integer not null,
  -- Only messages up to this sequence were there at the start.
  sequence_max       integer not null,
  -- Where the walk along messages_enqueued stands.
  cursor_enqueued_at integer not null,
  cursor_id          integer not null,
  -- The earliest instant at which a message that this walk skipped becomes visible; 0: none was skipped.
  skipped_until      integer not null,
  next_at            integer not null,
  started_at         integer not null,
  finished_at        integer,
  failure            text
) strict;
create unique index tasks_running on tasks (source_queue_id) where status = 'running';
create index tasks_due on tasks (next_at) where status = 'running';
create index tasks_account on tasks (account, number);

-- Messages whose checksum failed: kept as they were found, never delivered.
create table quarantined_messages (
  message       integer primary key,
  queue_id      integer not null,
  found_at      integer not null,
  stored_row    text not null,
  body          blob not null
) strict;
