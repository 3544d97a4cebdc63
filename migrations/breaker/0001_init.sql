-- The only row: the breaker as src/core/breaker.ts has it, and what shards counted, both as JSON.
CREATE TABLE breaker (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- The target key, as tasks name it.
  key TEXT NOT NULL,
  state TEXT NOT NULL,
  counts TEXT NOT NULL
);

-- Shards that have ever called the target and said so: they are told of every change.
CREATE TABLE shards (
  shard TEXT PRIMARY KEY,
  queue_ref INTEGER NOT NULL,
  -- What waits there for the breaker, as JSON; null: nothing.
  parked TEXT,
  -- When it had a probe last; 0: never.
  probed_at INTEGER NOT NULL,
  -- Changes in a row that it could not be told.
  failures INTEGER NOT NULL
) WITHOUT ROWID;

-- The latest changes of state, as JSON.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  entry TEXT NOT NULL
);
