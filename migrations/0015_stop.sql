--! compatible
-- 0015_stop: the whole deployment may be stopped, and what is done by hand may be about no run.
--
-- Locks: `pauses` for a moment, which has few rows and is checked anew; `audit` for its catalogue.

-- `all` has the name ''. Who does not know it goes by the workflows and queues that it reads.
ALTER TABLE pauses DROP CONSTRAINT pauses_kind_check;
ALTER TABLE pauses ADD CONSTRAINT pauses_kind_check CHECK (kind IN ('workflow', 'queue', 'all'));

-- Orders about a circuit or the deployment are written by whoever gives them.
ALTER TABLE audit ALTER COLUMN run_id DROP NOT NULL;
