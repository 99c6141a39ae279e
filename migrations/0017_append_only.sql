--! compatible
-- 0017_append_only: what has happened is added to and never changed: journal, audit, decisions, the
-- ends of attempts.
--
-- A trigger per statement, so inserts pay nothing. It stands against mistakes, also those of the
-- schema's owner; a role that has been given its rights by `gavotte migrate --grant` cannot change
-- these tables at all. Only the deletion of whole ended runs (0018) passes.
-- Locks: brief ones on the four tables.

CREATE FUNCTION gv_append_only() RETURNS trigger LANGUAGE plpgsql AS $gv$
BEGIN
  IF TG_OP <> 'UPDATE' AND current_setting('gavotte.retention', true) = 'on' THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '% of %: rows are added there and never changed', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege',
      HINT = 'whole ended runs are deleted by "gavotte prune" or the option retention_hours';
END
$gv$;

CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
  FOR EACH STATEMENT EXECUTE FUNCTION gv_append_only();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION gv_append_only();
CREATE TRIGGER approval_decisions_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON approval_decisions
  FOR EACH STATEMENT EXECUTE FUNCTION gv_append_only();
CREATE TRIGGER run_attempts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON run_attempts
  FOR EACH STATEMENT EXECUTE FUNCTION gv_append_only();
