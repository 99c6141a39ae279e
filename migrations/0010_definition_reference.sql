--! compatible
-- 0010_definition_reference: runs name their definition without a foreign key.
--
-- The key was checked for every new run by locking the definition's row, and all runs of a workflow
-- share one row: half the cost of an insert (7 of 15 us), and supervisors that insert at the same
-- time queue up to share the lock. It proved nothing that does not hold anyway: a definition is
-- stored before the first run that names it, under the hash of its text, and is never deleted.
-- Locks: a brief one on runs and definitions.

ALTER TABLE runs DROP CONSTRAINT runs_ir_hash_fkey;
