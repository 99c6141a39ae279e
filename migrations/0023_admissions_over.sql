--! compatible
-- 0023_admissions_over: what a limit counts is told by few rows, however many runs have ended.
--
-- The row of a failed run tells a redrive its key, and that of a start its rate, for as long as its
-- window lasts. Both were counted through with every admission, as rows of runs that have places. Now
-- they are `over`, and in no index of those who have or want one. `kept_until_ms`: when the window of
-- such a start is over. What became of runs that ended before is found out by a page at a time.
-- The two indexes with a limit in them say how many a gate lets in at most without asking who waits.
-- Locks: admissions is locked while its rows are checked and six indexes are built: it has one row for
-- each unfinished run with a limit, for each start within a window, and for each failed run with a key.

ALTER TABLE admissions ADD COLUMN IF NOT EXISTS kept_until_ms bigint;
ALTER TABLE admissions DROP CONSTRAINT admissions_state_check;
ALTER TABLE admissions ADD CONSTRAINT admissions_state_check
  CHECK (state IN ('waiting', 'tenant', 'admitted', 'ending', 'over'));

DROP INDEX admissions_waiting_idx;
DROP INDEX admissions_key_idx;
CREATE INDEX admissions_key_idx ON admissions (key, place)
  WHERE key IS NOT NULL AND state <> 'over';
CREATE INDEX admissions_live_idx ON admissions (place) WHERE state <> 'over';
CREATE INDEX admissions_ending_idx ON admissions (tenant, place) WHERE state = 'ending';
CREATE INDEX admissions_kept_idx ON admissions (kept_until_ms) WHERE kept_until_ms IS NOT NULL;
CREATE INDEX admissions_key_limit_idx ON admissions (key, key_limit)
  WHERE state = 'waiting' AND key IS NOT NULL;
CREATE INDEX admissions_rate_window_idx ON admissions (rate, rate_ms, rate_limit)
  WHERE rate IS NOT NULL;
