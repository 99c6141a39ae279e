--! compatible
-- 0009_hibernate: runs that wait for long are asleep: not in Redis, only here.
--
-- A sleeping run keeps its status, RUNNING. `sleep_seq` is the record of the partition's journal that
-- tells of its sleep and so names it; `wakes_at_ms` is when its earliest timer is due (Redis time),
-- NULL without any, 0 when somebody has asked for it to be woken.
-- Locks: a brief one on runs (columns without defaults, no rewrite); the index is built on columns
-- that are empty.

ALTER TABLE runs
  ADD COLUMN asleep_since_ms bigint,
  ADD COLUMN sleep_seq bigint,
  ADD COLUMN wakes_at_ms bigint;
CREATE INDEX runs_asleep_idx ON runs (partition, wakes_at_ms) WHERE asleep_since_ms IS NOT NULL;
