--! compatible
-- 0014_start_and_business_status: runs that begin in the middle, and what they say of themselves.
--
-- `start_fields` is what the hash of such a run begins with, as JSON; NULL: at its entry nodes.
-- `business_status` is the last that a node of the run has set; NULL: none has.
-- Locks: a brief one on runs (columns without defaults, no rewrite); the index is built on a column
-- that is empty.

ALTER TABLE runs
  ADD COLUMN start_fields text,
  ADD COLUMN business_status text;
CREATE INDEX runs_business_status_idx ON runs (business_status, created_at_ms DESC)
  WHERE business_status IS NOT NULL;
