--! compatible
-- 0006_blobs: large outputs, by their content's hash, each once however many runs made it.
--
-- Rows of the journal refer to them as {"$gv:blob":"<sha256>:<bytes>"}. Both tables are written by
-- the archiver in the transaction that archives the reference, so no reference is without its blob.
-- A blob goes when no run refers to it any more; run_blobs says who does.
-- Locks: new tables only.

CREATE TABLE blobs (
  sha256 text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  -- JSON text.
  data text NOT NULL,
  created_at_ms bigint NOT NULL
);
CREATE INDEX blobs_created_idx ON blobs (created_at_ms);

CREATE TABLE run_blobs (
  run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  sha256 text NOT NULL REFERENCES blobs (sha256),
  PRIMARY KEY (run_id, sha256)
);
CREATE INDEX run_blobs_sha_idx ON run_blobs (sha256);
