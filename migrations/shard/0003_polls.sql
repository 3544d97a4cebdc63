-- Calls of the URLs that held tasks wait for: one row for each URL, whatever the tasks ask of it beside.
CREATE TABLE polls (
  url         TEXT PRIMARY KEY,
  lane        TEXT NOT NULL,    -- the target key of the URL, in whose line it waits
  due_at      INTEGER NOT NULL,
  period      INTEGER NOT NULL, -- the shortest that a task asks for
  timeout     INTEGER NOT NULL, -- the longest
  failures    INTEGER NOT NULL, -- in a row
  streaks     TEXT NOT NULL,    -- JSON: successes in a row by the number that is wanted, where that is more than one
  ready_ms    INTEGER,          -- how long the answer took by which tasks are being set free; NULL: none are
  ready_after TEXT,             -- the last probe whose tasks are free
  lease       INTEGER NOT NULL,
  lease_until INTEGER
) WITHOUT ROWID;
CREATE INDEX polls_waiting ON polls (lane, due_at) WHERE lease_until IS NULL;
