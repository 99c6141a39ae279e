--! compatible
-- 0003_children: runs that other runs start, runs that undo others, and tags of definitions.
--
-- `bindings` is JSON text: which definition each workflow reference of the run's whole tree means,
-- as it was when the root was accepted. `parent` is the token that waits for a child, as the hot
-- hash names it; the other two columns are its parts that people ask by.
-- Locks: brief ones on runs and definitions (columns with constant defaults, no rewrite); the
-- indexes are built on columns that are empty.

ALTER TABLE definitions ADD COLUMN tags text[] NOT NULL DEFAULT '{}';

ALTER TABLE runs
  ADD COLUMN bindings text,
  ADD COLUMN depth integer NOT NULL DEFAULT 0,
  ADD COLUMN parent_run_id text,
  ADD COLUMN parent_node text,
  ADD COLUMN parent text,
  ADD COLUMN compensates text;
CREATE INDEX runs_parent_idx ON runs (parent_run_id, created_at_ms)
  WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_open_children_idx ON runs (partition, id)
  WHERE parent_run_id IS NOT NULL AND status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING');
-- A run is undone once.
CREATE UNIQUE INDEX runs_compensates_idx ON runs (compensates) WHERE compensates IS NOT NULL;
