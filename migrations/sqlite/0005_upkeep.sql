-- What was done at once however much there was of it, and is left to upkeep now, slice by slice.

-- FIFO queues whose delay has changed: their waiting messages get their new time along messages_enqueued.
create table delay_changes (
  queue_id           integer primary key,
  backlog_id         integer not null,
  -- The longest delay that a message met by the walk may have been sent with.
  longest_seconds    integer not null,
  cursor_enqueued_at integer not null,
  cursor_id          integer not null
) strict;

-- Not null when the whole queue is gone: then its idempotency keys go, too.
alter table dead_backlogs add column queue_id integer;
