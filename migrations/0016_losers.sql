--! compatible
-- 0016_losers: a node that was cancelled because its join has fired without it is one of the executions
-- that people query. Of a loop that was cancelled as a whole there is one row, of its latch.
--
-- Locks: the view's catalogue, for a moment.

CREATE OR REPLACE VIEW node_executions AS
SELECT
  run_id, workflow, node, node_index, scope, attempt,
  CASE event
    WHEN 'node.completed' THEN 'completed'
    WHEN 'node.failed' THEN 'failed'
    WHEN 'node.retrying' THEN 'retrying'
    WHEN 'node.parked' THEN 'waiting'
    WHEN 'node.cancelled' THEN 'cancelled'
    ELSE 'skipped'
  END AS status,
  at - (transition ->> 'ms')::double precision * interval '1 millisecond' AS started_at,
  at AS ended_at,
  (transition ->> 'ms')::double precision AS duration_ms,
  CASE WHEN jsonb_typeof(transition -> 'w') = 'string' THEN transition ->> 'w' END AS worker,
  transition -> 'o' AS output,
  transition -> 'err' -> 'error' AS error,
  seq, index_in_record, position,
  home
FROM event_log
WHERE event IN ('node.completed', 'node.failed', 'node.retrying', 'node.parked', 'node.skipped',
  'node.cancelled');
