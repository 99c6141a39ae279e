--! compatible
-- 0001_initial: the archive of the journal and what people and programs look up beside it.
--
-- Payloads (input, output, error, transitions, ir) are text, not json or jsonb: jsonb refuses the
-- escape for U+0000 and lone surrogates, json refuses deep nesting, and one such value must not
-- stop the archiver of a whole partition. gv_json() casts for reading. Times are milliseconds
-- since 1970; the views show timestamps.
-- Locks: new tables only.

CREATE TABLE deployment (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  id text NOT NULL,
  partitions integer NOT NULL CHECK (partitions > 0),
  layout integer NOT NULL
);

-- Casts a payload for reading. What jsonb cannot hold is replaced by U+FFFD; a document nested too
-- deeply for it comes back as one string.
CREATE FUNCTION gv_json(doc text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $gv$
BEGIN
  RETURN doc::jsonb;
EXCEPTION
  WHEN untranslatable_character OR invalid_text_representation THEN
    RETURN regexp_replace(doc,
      '(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\1\\ufffd', 'g')::jsonb;
  WHEN statement_too_complex THEN
    RETURN to_jsonb(doc);
END
$gv$;

CREATE FUNCTION gv_node_ids(ir text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $gv$
  SELECT array_agg(node ->> 'id' ORDER BY place)
  FROM json_array_elements(ir::json -> 'nodes') WITH ORDINALITY AS n(node, place)
$gv$;

CREATE TABLE definitions (
  hash text PRIMARY KEY,
  name text NOT NULL,
  version text NOT NULL,
  ir text NOT NULL,
  source text,
  node_ids text[] GENERATED ALWAYS AS (gv_node_ids(ir)) STORED,
  created_at_ms bigint NOT NULL
);
CREATE INDEX definitions_name_idx ON definitions (name, version, created_at_ms);

CREATE TABLE runs (
  id text PRIMARY KEY,
  tenant text NOT NULL DEFAULT '',
  workflow text NOT NULL,
  version text NOT NULL,
  ir_hash text NOT NULL REFERENCES definitions (hash),
  partition integer NOT NULL,
  namespace text NOT NULL DEFAULT '',
  priority text NOT NULL CHECK (priority IN ('high', 'normal', 'low')),
  status text NOT NULL CHECK (status IN
    ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  input text NOT NULL,
  output text,
  error text,
  idempotency_key text,
  request_hash text NOT NULL DEFAULT '',
  epoch bigint NOT NULL DEFAULT 1,
  attempt integer NOT NULL DEFAULT 1,
  created_at_ms bigint NOT NULL,
  started_at_ms bigint,
  ended_at_ms bigint,
  updated_at_ms bigint NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX runs_idempotency_idx ON runs (tenant, idempotency_key)
  WHERE idempotency_key IS NOT NULL;
-- Finished runs outnumber the others by far and are never looked for by status alone.
CREATE INDEX runs_unfinished_idx ON runs (status, created_at_ms)
  WHERE status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING');
CREATE INDEX runs_created_idx ON runs (created_at_ms);

-- One row per run and archived block: [[position, t, transition], ...] in the order of the journal.
CREATE TABLE journal (
  partition integer NOT NULL,
  run_id text NOT NULL,
  seq_from bigint NOT NULL,
  seq_to bigint NOT NULL,
  t_from bigint NOT NULL,
  t_to bigint NOT NULL,
  transitions text NOT NULL,
  PRIMARY KEY (run_id, seq_from)
);

-- How far each partition is archived. Whoever moves it names where it stood.
CREATE TABLE cursors (
  partition integer PRIMARY KEY,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  nonce text NOT NULL,
  stream_id text NOT NULL
);

CREATE TABLE dead_letters (
  id text PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('token', 'submission')),
  run_id text,
  node text,
  scope text,
  attempts integer,
  error text NOT NULL,
  payload text,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retried', 'dropped')),
  created_at_ms bigint NOT NULL
);
CREATE INDEX dead_letters_state_idx ON dead_letters (state, created_at_ms);
CREATE INDEX dead_letters_run_idx ON dead_letters (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE workers (
  id text PRIMARY KEY,
  host text NOT NULL,
  pid integer NOT NULL,
  queues text[] NOT NULL,
  concurrency integer NOT NULL,
  in_flight integer NOT NULL,
  started_at_ms bigint NOT NULL,
  last_seen_at_ms bigint NOT NULL
);
