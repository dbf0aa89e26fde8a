-- Redrive tasks walk FIFO queues by their ready groups, leave behind what has nowhere to go, and count it.

-- Where the walk stands. Standard queues: the last message looked at (enqueued_at, id). FIFO queues: the group to look at
-- (ready_at, turn) and the sequence up to which its messages are done with.
alter table tasks rename column cursor_enqueued_at to cursor_at;
alter table tasks rename column cursor_id to cursor_number;
alter table tasks add column cursor_sequence integer not null default -1;
-- The earliest instant at which something that this walk passed over can be had; 0: nothing was passed over.
alter table tasks rename column skipped_until to again_at;
-- Messages and groups that this walk has looked at.
alter table tasks add column examined_count integer not null default 0;
-- Groups whose turn is as high as this changed during this walk: the next one looks at them. 0: no walk has begun.
alter table tasks add column fresh_turn integer not null default 0;
-- Messages that stay because nobody knows where they came from: in all, and on this walk so far.
alter table tasks add column skipped_count integer not null default 0;
alter table tasks add column walk_skipped_count integer not null default 0;
-- 1: such a message ends the task instead.
alter table tasks add column requires_origins integer not null default 0;

-- Walks under way begin again: what they moved is no longer there to be met.
update tasks set cursor_at = -1, cursor_number = -1, again_at = 0 where status = 'running';
-- Tasks of SQS, which all renew their messages, end at a message without an origin.
update tasks set requires_origins = renews_messages;
