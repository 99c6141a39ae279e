--! compatible
-- 0004_approvals: what people are asked, and what they have said.
--
-- Written by the archiver in the transaction that archives the transitions they come from, so both
-- tables are copies of the journal: the decision itself is taken in Redis, atomically with timers
-- and cancellation. approval_decisions is the audit: rows are added and never changed.
-- Locks: new tables; a view is replaced.

CREATE TABLE approvals (
  -- Address of the wait: <unit>.<node index>-<secret>.
  id text PRIMARY KEY,
  run_id text NOT NULL,
  -- The map element that the token lives in, '' for the run itself.
  home text NOT NULL DEFAULT '',
  node_index integer NOT NULL,
  node text NOT NULL,
  scope text NOT NULL,
  attempt integer NOT NULL,
  title text NOT NULL,
  description text,
  -- JSON list of names; '[]': anybody may decide.
  assignees text NOT NULL,
  -- JSON Schema of the data of a decision.
  form text,
  required integer NOT NULL,
  state text NOT NULL DEFAULT 'open' CHECK (state IN
    ('open', 'approved', 'rejected', 'expired', 'cancelled')),
  opened_at_ms bigint NOT NULL,
  expires_at_ms bigint,
  closed_at_ms bigint
);
CREATE INDEX approvals_run_idx ON approvals (run_id, node_index);
CREATE INDEX approvals_open_idx ON approvals (opened_at_ms) WHERE state = 'open';
CREATE INDEX approvals_opened_idx ON approvals (opened_at_ms);

CREATE TABLE approval_decisions (
  approval_id text NOT NULL REFERENCES approvals (id),
  actor text NOT NULL,
  approved boolean NOT NULL,
  -- JSON text.
  data text NOT NULL,
  decided_at_ms bigint NOT NULL,
  -- Position of the transition in the partition's journal.
  position text NOT NULL,
  PRIMARY KEY (approval_id, actor)
);

-- `w` of a parked token is what it waits for, of all others the worker.
CREATE OR REPLACE VIEW node_executions AS
SELECT
  run_id, workflow, node, node_index, scope, attempt,
  CASE event
    WHEN 'node.completed' THEN 'completed'
    WHEN 'node.failed' THEN 'failed'
    WHEN 'node.retrying' THEN 'retrying'
    WHEN 'node.parked' THEN 'waiting'
    ELSE 'skipped'
  END AS status,
  at - (transition ->> 'ms')::double precision * interval '1 millisecond' AS started_at,
  at AS ended_at,
  (transition ->> 'ms')::double precision AS duration_ms,
  CASE WHEN jsonb_typeof(transition -> 'w') = 'string' THEN transition ->> 'w' END AS worker,
  transition -> 'o' AS output,
  transition -> 'err' -> 'error' AS error,
  seq, index_in_record, position
FROM event_log
WHERE event IN
  ('node.completed', 'node.failed', 'node.retrying', 'node.parked', 'node.skipped');
