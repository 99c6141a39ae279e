--! compatible
-- 0019_run_status: the row of a run changes its status only as runs do.
--
-- The scripts decide what becomes of a run and the archiver copies it, so nobody should ever ask for
-- anything else: a statement that does is a defect, or somebody's hand, and is refused as a whole.
-- The table is ROW_TRANSITIONS in sdk/status.ts. The condition is evaluated without a call of the
-- function, and only for statements that set the status.
-- Locks: a brief one on runs.

CREATE FUNCTION refuse_run_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'run % is %: it cannot become %', OLD.id, OLD.status, NEW.status
    USING ERRCODE = 'check_violation', CONSTRAINT = 'runs_status_transition';
END $$;

CREATE TRIGGER runs_status_transition BEFORE UPDATE OF status ON runs FOR EACH ROW
  WHEN (OLD.status <> NEW.status AND NOT (
    (OLD.status = 'QUEUED')
    OR (OLD.status = 'RUNNING' AND NEW.status <> 'QUEUED')
    OR (OLD.status = 'PAUSED' AND NEW.status <> 'QUEUED')
    OR (OLD.status = 'FINISHING' AND NEW.status IN ('COMPLETED', 'FAILED', 'CANCELLED'))
    OR (OLD.status = 'FAILED' AND NEW.status = 'RUNNING')))
  EXECUTE FUNCTION refuse_run_status();
