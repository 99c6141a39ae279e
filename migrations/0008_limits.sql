--! compatible
-- 0008_limits: runs that may not start yet: concurrency and rate by key, places of a tenant.
--
-- A row per accepted run of a workflow with such settings, or of a named tenant; other runs have
-- none. A place is taken by an admitted run whose row in `runs` has not ended, so whatever ends
-- that row frees the place in the same commit. Written under a lock per tenant.
-- Locks: a brief one on runs (a column with a constant default, no rewrite); a new table.

-- Accepted, and not to be started before its limits let it.
ALTER TABLE runs ADD COLUMN held boolean NOT NULL DEFAULT false;

CREATE TABLE admissions (
  run_id text PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  tenant text NOT NULL,
  -- Order of acceptance.
  place bigint GENERATED ALWAYS AS IDENTITY,
  -- When it was accepted, later by a bounded time the lower its priority: the order of admission.
  turn_ms bigint NOT NULL,
  -- waiting: for its key or its rate; tenant: for nothing but its tenant's places;
  -- ending: admitted, and to be cancelled for a newer run of its key.
  state text NOT NULL CHECK (state IN ('waiting', 'tenant', 'admitted', 'ending')),
  -- SHA-256 of tenant, namespace, workflow and key; the text is for people.
  key text,
  key_text text,
  key_limit integer,
  on_conflict text CHECK (on_conflict IN ('queue', 'reject', 'cancel_running')),
  rate text,
  rate_text text,
  rate_limit integer,
  rate_ms bigint,
  -- Times by the database's clock. Until the second the place is taken though the run has ended: this
  -- attempt of it is being redriven.
  admitted_at_ms bigint,
  claimed_until_ms bigint,
  claimed_attempt integer
);
CREATE INDEX admissions_key_waiting_idx ON admissions (key, turn_ms, place)
  WHERE state = 'waiting' AND key IS NOT NULL;
CREATE INDEX admissions_rate_waiting_idx ON admissions (rate, turn_ms, place)
  WHERE state = 'waiting' AND rate IS NOT NULL;
CREATE INDEX admissions_tenant_waiting_idx ON admissions (tenant, turn_ms, place)
  WHERE state = 'tenant';
CREATE INDEX admissions_key_idx ON admissions (key, place) WHERE key IS NOT NULL;
CREATE INDEX admissions_key_taken_idx ON admissions (key)
  WHERE state IN ('admitted', 'ending') AND key IS NOT NULL;
CREATE INDEX admissions_rate_idx ON admissions (rate, admitted_at_ms)
  WHERE rate IS NOT NULL AND admitted_at_ms IS NOT NULL;
CREATE INDEX admissions_tenant_taken_idx ON admissions (tenant)
  WHERE state IN ('admitted', 'ending');
CREATE INDEX admissions_waiting_idx ON admissions (state) WHERE state <> 'admitted';
