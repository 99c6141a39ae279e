--! compatible
-- 0007_maps: the views name the nodes in the bodies of maps, and the element that a row is about.
--
-- A transition's `m` is the home of its element, e.g. 7:2/12#5: element 5 of map 12 in round 2 of
-- loop 7. Its node is an index into the body of that map.
-- Locks: views and a function only.

CREATE FUNCTION gv_node_in_map(ir text, home text, node integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $gv$
DECLARE
  graph jsonb := ir::jsonb;
  map text;
BEGIN
  FOR map IN SELECT (regexp_matches(home, '(\d+)#', 'g'))[1] LOOP
    graph := graph -> 'nodes' -> map::integer -> 'body';
  END LOOP;
  RETURN graph -> 'nodes' -> node ->> 'id';
END
$gv$;

CREATE OR REPLACE VIEW event_log AS
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
  CASE
    WHEN item -> 2 -> 'm' IS NULL THEN d.node_ids[(item -> 2 ->> 'n')::integer + 1]
    ELSE gv_node_in_map(d.ir, item -> 2 ->> 'm', (item -> 2 ->> 'n')::integer)
  END AS node,
  item -> 2 ->> 's' AS scope,
  (item -> 2 ->> 'a')::integer AS attempt,
  item -> 2 AS transition,
  coalesce(item -> 2 ->> 'm', '') AS home
FROM journal j
CROSS JOIN LATERAL jsonb_array_elements(gv_json(j.transitions)) AS item
LEFT JOIN runs r ON r.id = j.run_id
LEFT JOIN definitions d ON d.hash = r.ir_hash;

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
  seq, index_in_record, position,
  home
FROM event_log
WHERE event IN
  ('node.completed', 'node.failed', 'node.retrying', 'node.parked', 'node.skipped');
