-- When the target asked for the hold; NULL: it did not, or the row is of a release that did not say.
ALTER TABLE targets ADD COLUMN held_from INTEGER;
