--! compatible
-- 0013_run_namespaces: which process serves the namespace of a `gavotte run`, and that it lives.
--
-- `machine` names where its process id means something; `beat_at_ms` (this server's clock) is when it
-- was last heard of. Here and not in Redis: a process may be killed while Redis is lost.
-- Locks: none on what is there.

CREATE TABLE run_namespaces (
  namespace text PRIMARY KEY,
  run_id text NOT NULL,
  queues text[] NOT NULL,
  host text NOT NULL,
  machine text NOT NULL,
  pid integer NOT NULL,
  beat_at_ms bigint NOT NULL
);
