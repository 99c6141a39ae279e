--[[
release_runs -- remove what ended runs used, after their end is committed in Postgres.

Atomic because the tombstone must be there before the hash is gone: between the two a late start
would run the workflow again.

KEYS
  1  meta      hash    gv:{p}:meta        epoch; reads
  2  timers    zset    gv:{p}:timers      removes
  3  release   zset    gv:{p}:release     removes
  4  tombs     zset    gv:{p}:tombs       writes
  5  paused    zset    gv:{p}:paused      removes
  6+ runs      hash    gv:{p}:run:<id>    one per run; removes, with its list `held`
  .. signals   hash    gv:{p}:run:<id>:signals  one per run, in the same order; removes
ARGV
  1  epoch     partition epoch
  2  tomb_ms   how long a tombstone stays
  3  runs      number of runs, then their ids
  .. members   timers of these runs that are still armed
RETURNS integer
  n >= 0 runs removed, -100 EPOCH
REPEAT    a run that is gone is only taken off the list
COST      O(runs); hashes are unlinked, their memory is freed elsewhere
]]
--- @include "partition"
--- @include "held"
local meta, timers, release, tombs, paused = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local tomb_ms, run_count = tonumber(ARGV[2]), tonumber(ARGV[3])

if not open_partition(meta, ARGV[1]) then
  return -100
end
local FINAL = { completed = true, failed = true, cancelled = true }
local removed = 0
for i = 1, run_count do
  local run_id, run, signals = ARGV[3 + i], KEYS[5 + i], KEYS[5 + run_count + i]
  local status = redis.call("HGET", run, "s")
  -- A run that lives again under a new epoch is not what was released.
  if not status or FINAL[status] then
    redis.call("ZADD", tombs, now_ms + tomb_ms, run_id)
    if redis.call("ZREM", paused, run_id) == 1 then
      redis.call("UNLINK", held_key(run))
    end
    removed = removed + redis.call("UNLINK", run)
    redis.call("UNLINK", signals)
    redis.call("ZREM", release, run_id)
  end
end
for i = 4 + run_count, #ARGV do
  redis.call("ZREM", timers, ARGV[i])
end
redis.call("ZREMRANGEBYSCORE", tombs, "-inf", now_ms)
return removed
