-- What is known of targets that may not be called: breakers that are not closed, and Retry-After.
CREATE TABLE targets (
  key        TEXT PRIMARY KEY,
  breaker    TEXT,   -- JSON; NULL: closed
  held_until INTEGER -- the target asked for no calls until then; NULL: it did not
) WITHOUT ROWID;

-- When the queue's rate lets the next call go, in this shard.
ALTER TABLE shard ADD COLUMN rate_free_at REAL;
-- When operators were told last that the queue is stalled.
ALTER TABLE shard ADD COLUMN stalled_told_at INTEGER;
