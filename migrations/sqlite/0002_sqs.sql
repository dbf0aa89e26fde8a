-- What SQS knows of messages, queues and tasks beyond our own API, and fair queues.

alter table messages add column trace_header text not null default '';
alter table messages add column sender_id text not null default '';

-- When a purge that has an interval was last done; 0: never.
alter table queues add column purged_at integer not null default 0;

-- Names whose queues were deleted a little while ago. Kept here, not in memory, so that the rule holds over a restart.
create table deleted_queues (
  account    text not null,
  name       text not null,
  deleted_at integer not null,
  primary key (account, name)
) strict, without rowid;
create index deleted_queues_at on deleted_queues (deleted_at);

-- A move task may give each message a new identity: a new message id, a new time of sending.
alter table tasks add column renews_messages integer not null default 0;
create index tasks_source on tasks (source_queue_id, number);

-- Standard queues: messages without a group in one order, those with a group in one order and by group as well. So
-- fair queues can ask for the next message of any group, and messages without a group pay nothing for it.
drop index messages_visible;
create index messages_visible on messages (backlog_id, visible_at, id) where is_fifo = 0 and group_id = '';
create index messages_grouped_visible on messages (backlog_id, visible_at, id) where is_fifo = 0 and group_id <> '';
create index messages_tenant on messages (backlog_id, group_id, visible_at, id) where is_fifo = 0 and group_id <> '';
