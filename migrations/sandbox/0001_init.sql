-- The sandbox's inbox: the callbacks that came last.
CREATE TABLE callbacks (
  seq         INTEGER PRIMARY KEY,
  id          TEXT,             -- webhook-id; one delivered again stands here again
  task_id     TEXT,
  type        TEXT,
  received_at INTEGER NOT NULL, -- epoch ms
  verified    INTEGER NOT NULL, -- 0 or 1
  body        TEXT NOT NULL     -- as it came
);
CREATE INDEX callbacks_by_task ON callbacks (task_id, seq);
