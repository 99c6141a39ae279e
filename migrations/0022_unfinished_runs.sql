--! compatible
-- 0022_unfinished_runs: pages of unfinished runs, oldest first, whatever else waits.
--
-- The index over all of them gave no page by age of two statuses, so a look went through the runs
-- that have ended, and those that sleep or are held were read by every look that wanted the others.
-- Now each unfinished run is in one of two: those that something is to happen to, and those that only
-- wait to be woken or let in, which nobody but a list reads. A run that neither sleeps nor is held is
-- in as many indexes as before. The partition stands last: a look at one passes the others' runs in the
-- index. The third has the paused ones that sleep, by workflow: the second column says whether one has
-- been asked to wake.
-- Locks: writes to runs wait while three partial indexes are built, each by reading the table once. On
-- a large table build them CONCURRENTLY beforehand, by these names: they are found in place.

CREATE INDEX IF NOT EXISTS runs_awake_idx ON runs (status, created_at_ms, id, partition)
  WHERE status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')
    AND asleep_since_ms IS NULL AND NOT held;
CREATE INDEX IF NOT EXISTS runs_set_aside_idx ON runs (status, created_at_ms, id)
  WHERE status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')
    AND (asleep_since_ms IS NOT NULL OR held);
CREATE INDEX IF NOT EXISTS runs_asleep_paused_idx
  ON runs (workflow, (LEAST(COALESCE(wakes_at_ms, 1), 1)), id)
  WHERE status = 'PAUSED' AND asleep_since_ms IS NOT NULL;
DROP INDEX runs_unfinished_idx;

CREATE OR REPLACE VIEW active_runs AS
SELECT
  id AS run_id, tenant, workflow, version, status, partition, namespace, priority,
  to_timestamp(created_at_ms / 1000.0) AS created_at,
  to_timestamp(started_at_ms / 1000.0) AS started_at,
  gv_json(input) AS input
FROM runs
WHERE status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')
  AND asleep_since_ms IS NULL AND NOT held
UNION ALL
SELECT
  id, tenant, workflow, version, status, partition, namespace, priority,
  to_timestamp(created_at_ms / 1000.0), to_timestamp(started_at_ms / 1000.0), gv_json(input)
FROM runs
WHERE status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')
  AND (asleep_since_ms IS NOT NULL OR held);
