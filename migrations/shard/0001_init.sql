-- A queue's shard. Rows written are the bill: one table without rowid, partial indexes, JSON for what is
-- only ever read with its task.
CREATE TABLE tasks (
  id               TEXT PRIMARY KEY,
  state            TEXT NOT NULL,
  target           TEXT NOT NULL,
  lane             TEXT,             -- in whose line it waits; NULL: nothing waits
  priority         INTEGER NOT NULL,
  due_at           INTEGER NOT NULL, -- epoch ms, as all instants
  expires_at       INTEGER NOT NULL, -- end of the round's max_age
  round            INTEGER NOT NULL,
  attempt          INTEGER NOT NULL,
  attempts_before  INTEGER NOT NULL,
  lease            INTEGER NOT NULL, -- counts every grant, never resets
  lease_until      INTEGER,          -- NULL: nothing in flight
  settled_lease    INTEGER NOT NULL,
  trigger          TEXT NOT NULL,
  created_at       INTEGER NOT NULL,
  finalized_at     INTEGER,
  reason           TEXT,
  until            TEXT,             -- JSON: what a held task waits for
  probe            TEXT,             -- key of the probe a held task waits for
  labels           TEXT NOT NULL,    -- JSON array
  call             TEXT NOT NULL,    -- JSON; a large body is in bodies
  history          TEXT NOT NULL,    -- JSON array of attempts
  attempts_omitted INTEGER NOT NULL,
  response         TEXT,             -- JSON; a large body is in bodies
  callback         TEXT,             -- JSON
  idempotency_key  TEXT,
  request_hash     TEXT
) WITHOUT ROWID;

-- What waits, in the order of claims. expires_at makes it covering for the sweep of max_age.
CREATE INDEX tasks_waiting ON tasks (lane, priority DESC, due_at, expires_at) WHERE lane IS NOT NULL;
CREATE UNIQUE INDEX tasks_by_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_by_probe ON tasks (probe) WHERE probe IS NOT NULL;

-- Bodies too large for a row that is written at every attempt.
CREATE TABLE bodies (
  id   TEXT NOT NULL,
  part TEXT NOT NULL, -- request or response
  data TEXT NOT NULL,
  PRIMARY KEY (id, part)
) WITHOUT ROWID;

-- One row for each commit that handed grants to runners: where to find the leases after a restart.
CREATE TABLE flights (
  seq INTEGER PRIMARY KEY,
  ids TEXT NOT NULL -- JSON array of task ids
);

-- Readiness probes, each shared by all tasks held on it.
CREATE TABLE probes (
  key         TEXT PRIMARY KEY, -- JSON: url, period, timeout, success_threshold
  due_at      INTEGER NOT NULL,
  successes   INTEGER NOT NULL,
  lease       INTEGER NOT NULL,
  lease_until INTEGER
) WITHOUT ROWID;

CREATE TABLE shard (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  config    TEXT,             -- JSON: the queue's settings as last told
  watermark TEXT NOT NULL,    -- no edge-first lease is held by a task with a lower id
  closed    INTEGER NOT NULL,
  prune_at  INTEGER           -- when the next row may be pruned; NULL: not known
);
INSERT INTO shard (id, config, watermark, closed, prune_at) VALUES (1, NULL, '', 0, NULL);
