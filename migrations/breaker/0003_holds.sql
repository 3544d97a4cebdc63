-- What the target asked each queue for, and until when holds are released, as src/breaker/holds.ts has it; NULL: nothing.
ALTER TABLE breaker ADD COLUMN holds TEXT;
