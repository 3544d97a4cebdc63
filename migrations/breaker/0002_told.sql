-- Queues whose operators were told that the target is gone, and when last: once an hour.
CREATE TABLE told (
  queue_ref INTEGER PRIMARY KEY,
  gone_at INTEGER NOT NULL
) WITHOUT ROWID;
