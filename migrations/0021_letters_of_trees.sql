--! compatible
-- 0021_letters_of_trees: dead letters that need nobody, in the tree of a run that went well.
--
-- The archiver settles them with the run's end, by the open letters of its tree. What was left open
-- before is settled here by the same rule: whoever stands above its run, up to one without a parent,
-- has completed.
-- Locks: writes to dead_letters wait while an index over the open ones is built, and they are settled.

CREATE INDEX dead_letters_tree_idx ON dead_letters ((split_part(run_id, '~', 1)))
  WHERE state = 'open';

WITH RECURSIVE line(letter, run_id) AS (
  SELECT id, run_id FROM dead_letters WHERE state = 'open'
  UNION ALL
  SELECT line.letter, r.parent_run_id FROM line
  JOIN runs r ON r.id = line.run_id WHERE r.parent_run_id IS NOT NULL)
UPDATE dead_letters d SET state = 'retried', outcome = 'its run went on, and completed',
  settled_at_ms = GREATEST(d.created_at_ms, top.ended_at_ms)
FROM line JOIN runs top ON top.id = line.run_id
WHERE d.id = line.letter AND top.parent_run_id IS NULL AND top.status = 'COMPLETED';
