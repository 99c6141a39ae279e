--! compatible
-- 0005_operations: what people do to runs - pause, repair by hand, redrive - and what became of it.
--
-- Locks: new tables; two columns with constant defaults and an index over rows that hardly exist.

-- Workflows and queues that are paused. Redis has a copy; this is what survives it. A workflow's
-- row stays a while as `resuming`, until no run is left that it paused.
CREATE TABLE pauses (
  kind text NOT NULL CHECK (kind IN ('workflow', 'queue')),
  name text NOT NULL,
  -- Of a workflow; '*' is every version.
  version text NOT NULL DEFAULT '*',
  state text NOT NULL DEFAULT 'paused' CHECK (state IN ('paused', 'resuming')),
  who text NOT NULL DEFAULT '',
  reason text NOT NULL DEFAULT '',
  changed_at_ms bigint NOT NULL,
  PRIMARY KEY (kind, name, version)
);

-- Who did what to a run by hand. Written by the archiver from the journal, so exactly once.
CREATE TABLE audit (
  id text PRIMARY KEY,
  at_ms bigint NOT NULL,
  who text NOT NULL,
  action text NOT NULL,
  run_id text NOT NULL,
  node text,
  scope text,
  reason text NOT NULL,
  -- JSON texts: how it stood, and what it was made.
  before text,
  after text
);
CREATE INDEX audit_run_idx ON audit (run_id, at_ms);
CREATE INDEX audit_at_idx ON audit (at_ms);

-- The ends of attempts that were redriven; the end of the last one is in the run's row.
CREATE TABLE run_attempts (
  run_id text NOT NULL,
  attempt integer NOT NULL,
  status text NOT NULL,
  output text,
  error text,
  started_at_ms bigint,
  ended_at_ms bigint,
  PRIMARY KEY (run_id, attempt)
);

-- A script failed half-way in this run; it stands still until it is rebuilt from the journal.
ALTER TABLE runs ADD COLUMN suspect boolean NOT NULL DEFAULT false;
CREATE INDEX runs_suspect_idx ON runs (partition) WHERE suspect;

ALTER TABLE dead_letters ADD COLUMN outcome text;
ALTER TABLE dead_letters ADD COLUMN settled_at_ms bigint;
