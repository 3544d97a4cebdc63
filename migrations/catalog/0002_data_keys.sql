-- JSON list of wrapped data keys, newest first; null: what is in the row is not encrypted.
ALTER TABLE queues ADD COLUMN data_keys TEXT;
