--! compatible
-- 0002_views: rows for people over what the engine writes in blocks.
--
-- Locks: none; views only.

CREATE VIEW event_log AS
SELECT
  j.run_id,
  r.workflow,
  j.partition,
  item ->> 0 AS position,
  split_part(item ->> 0, '.', 1)::bigint AS seq,
  split_part(item ->> 0, '.', 2)::integer AS index_in_record,
  to_timestamp((item ->> 1)::bigint / 1000.0) AS at,
  item -> 2 ->> 'e' AS event,
  (item -> 2 ->> 'n')::integer AS node_index,
  d.node_ids[(item -> 2 ->> 'n')::integer + 1] AS node,
  item -> 2 ->> 's' AS scope,
  (item -> 2 ->> 'a')::integer AS attempt,
  item -> 2 AS transition
FROM journal j
CROSS JOIN LATERAL jsonb_array_elements(gv_json(j.transitions)) AS item
LEFT JOIN runs r ON r.id = j.run_id
LEFT JOIN definitions d ON d.hash = r.ir_hash;

-- One row per settled attempt of a node in a scope, and one per parked or skipped token.
CREATE VIEW node_executions AS
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
  transition ->> 'w' AS worker,
  transition -> 'o' AS output,
  transition -> 'err' -> 'error' AS error,
  seq, index_in_record, position
FROM event_log
WHERE event IN
  ('node.completed', 'node.failed', 'node.retrying', 'node.parked', 'node.skipped');

CREATE VIEW run_statistics AS
SELECT
  r.id AS run_id,
  r.workflow,
  r.status,
  r.ended_at_ms - r.started_at_ms AS duration_ms,
  r.started_at_ms - r.created_at_ms AS queued_ms,
  count(n.run_id) FILTER (WHERE n.status = 'completed') AS nodes_completed,
  count(n.run_id) FILTER (WHERE n.status = 'failed') AS nodes_failed,
  count(n.run_id) FILTER (WHERE n.status = 'retrying') AS retries,
  sum(n.duration_ms) AS busy_ms
FROM runs r
LEFT JOIN node_executions n ON n.run_id = r.id
GROUP BY r.id;

CREATE VIEW active_runs AS
SELECT
  id AS run_id, tenant, workflow, version, status, partition, namespace, priority,
  to_timestamp(created_at_ms / 1000.0) AS created_at,
  to_timestamp(started_at_ms / 1000.0) AS started_at,
  gv_json(input) AS input
FROM runs
WHERE status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING');
