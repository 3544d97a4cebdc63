-- Refs are never given twice (AUTOINCREMENT): shard names and task ids of a deleted queue stay dead.
CREATE TABLE queues (
  ref INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  shards INTEGER NOT NULL,
  version INTEGER NOT NULL,
  paused INTEGER NOT NULL,
  settings TEXT NOT NULL,
  secrets TEXT NOT NULL,
  previous_secret_until INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

-- hash: SHA-256 of the whole key, hex. queues: JSON list of names, null where the key is not limited.
CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  hash TEXT NOT NULL,
  scopes TEXT NOT NULL,
  queues TEXT,
  created_at INTEGER NOT NULL
) WITHOUT ROWID;
