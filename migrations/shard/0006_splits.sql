-- The paths of an origin that are targets of their own for now, as JSON; NULL: none.
ALTER TABLE targets ADD COLUMN splits TEXT;
