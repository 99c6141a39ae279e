--! compatible
-- 0012_sleep_causes: paused runs may sleep, too.
--
-- `sleep_causes`: the pauses with which a run fell asleep (as field `ps` of its hash), '' if it was not
-- paused, NULL while it is awake. What takes a pause back finds by it whom to wake.
-- Locks: a brief one on runs (a column without default, no rewrite).

ALTER TABLE runs ADD COLUMN sleep_causes text;
