--! compatible
-- 0018_retention: deleting ended runs by whole trees, and indexes for lists of runs.
--
-- The tree of a run is what its id begins: the run, its children's `<root>~…` and the runs that undo
-- one of them. A child that outlives its parent reads the root's row, so all of a tree goes or none.
-- Locks: writes to runs wait while four indexes are built, one of them over every run; writes to
-- dead_letters while another is.

-- Only children and compensations have a row in it.
CREATE INDEX runs_tree_idx ON runs ((split_part(id, '~', 1))) WHERE strpos(id, '~') > 0;

-- Lists, newest first. Those that went well are most and are not asked for by status.
CREATE INDEX runs_workflow_idx ON runs (workflow, created_at_ms, id);
CREATE INDEX runs_unwell_idx ON runs (status, created_at_ms, id)
  WHERE status IN ('FAILED', 'CANCELLED');
CREATE INDEX runs_tenant_idx ON runs (tenant, created_at_ms, id) WHERE tenant <> '';
CREATE INDEX dead_letters_created_idx ON dead_letters (created_at_ms, id);

-- Those of `roots` that ended before `before_ms` and of whose tree the same is true of every run;
-- where a dead letter of the tree is open, before `letters_before_ms`. With the ids of the tree.
CREATE FUNCTION gv_ended_trees(roots text[], before_ms bigint, letters_before_ms bigint)
RETURNS TABLE (root text, ids text[]) LANGUAGE sql STABLE AS $gv$
  SELECT tree.root, array_agg(tree.id)
  FROM (
    SELECT id AS root, id FROM runs WHERE id = ANY (roots)
    UNION ALL
    SELECT split_part(id, '~', 1), id FROM runs
    WHERE strpos(id, '~') > 0 AND split_part(id, '~', 1) = ANY (roots)
  ) AS tree
  JOIN runs r ON r.id = tree.id
  GROUP BY tree.root
  HAVING bool_and(r.status IN ('COMPLETED', 'FAILED', 'CANCELLED')
    AND COALESCE(GREATEST(r.ended_at_ms, r.updated_at_ms) < LEAST(before_ms,
      CASE WHEN EXISTS (SELECT FROM dead_letters d WHERE d.run_id = r.id AND d.state = 'open')
        THEN letters_before_ms END), false))
$gv$;

-- Deletes those trees, and returns the ids of their runs. What people did by hand (audit) stays.
-- By the owner's rights: who may call it needs no right to delete a row of the journal.
CREATE FUNCTION gv_delete_trees(roots text[], before_ms bigint, letters_before_ms bigint)
RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS $gv$
DECLARE
  gone text[];
  hashes text[];
BEGIN
  -- A redrive changes the root's row first: it comes before this and is seen, or finds no row.
  PERFORM 1 FROM runs WHERE id = ANY (roots) ORDER BY id FOR UPDATE;
  gone := ARRAY(
    SELECT unnest(t.ids) FROM gv_ended_trees(roots, before_ms, letters_before_ms) AS t);
  hashes := ARRAY(SELECT DISTINCT sha256 FROM run_blobs WHERE run_id = ANY (gone));
  PERFORM set_config('gavotte.retention', 'on', true);
  DELETE FROM approval_decisions WHERE approval_id IN (
    SELECT id FROM approvals WHERE run_id = ANY (gone));
  DELETE FROM approvals WHERE run_id = ANY (gone);
  DELETE FROM dead_letters WHERE run_id = ANY (gone);
  DELETE FROM run_attempts WHERE run_id = ANY (gone);
  DELETE FROM journal WHERE run_id = ANY (gone);
  PERFORM set_config('gavotte.retention', 'off', true);
  DELETE FROM runs WHERE id = ANY (gone);
  -- One that is being archived again was written just now; whatever stays, the reaper takes.
  DELETE FROM blobs WHERE sha256 IN (
    SELECT b.sha256 FROM blobs b WHERE b.sha256 = ANY (hashes) AND b.created_at_ms < before_ms
      AND NOT EXISTS (SELECT FROM run_blobs u WHERE u.sha256 = b.sha256)
    FOR UPDATE SKIP LOCKED);
  RETURN QUERY SELECT unnest(gone);
END
$gv$;

REVOKE ALL ON FUNCTION gv_delete_trees(text[], bigint, bigint) FROM PUBLIC;
-- Its names mean this schema's tables, whatever temporary ones a caller has made.
DO $gv$
BEGIN
  EXECUTE format('ALTER FUNCTION gv_delete_trees(text[], bigint, bigint) SET search_path = %I, pg_temp',
    current_schema());
END
$gv$;
