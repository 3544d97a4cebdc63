-- How many times in a row the object had ended while heavy calls were under way, when it last began some; NULL: none
-- are under way, or few.
ALTER TABLE shard ADD COLUMN heavy INTEGER;
