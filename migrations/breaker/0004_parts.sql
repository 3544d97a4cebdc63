-- What queues know by their own calls. The row of `breaker` is the part of queues that trust each other, by number 0.
CREATE TABLE parts (
  -- The queue's ref.
  part INTEGER PRIMARY KEY,
  -- As in `breaker`, like the others.
  state TEXT NOT NULL,
  counts TEXT NOT NULL,
  holds TEXT
);

-- The part that the shard goes by, and that a change was in.
ALTER TABLE shards ADD COLUMN part INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN part INTEGER NOT NULL DEFAULT 0;
