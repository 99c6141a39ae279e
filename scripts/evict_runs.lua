--[[
evict_runs -- remove what sleeping runs used, after their sleep is committed in Postgres.

Atomic because only the very sleep that is committed may go: a run that was woken since, or sleeps
again and that is not archived yet, stays. Its id is on the list of tombstones before the hash is
gone: a late start would run the workflow again.

KEYS
  1  meta      hash    gv:{p}:meta                epoch; reads and writes
  2  release   zset    gv:{p}:release             removes
  3  tombs     zset    gv:{p}:tombs               writes
  4+ runs      hash    gv:{p}:run:<id>            one per run; removes
  .. signals   hash    gv:{p}:run:<id>:signals    one per run, in the same order; removes
  .. blobs     hash    gv:{p}:run:<id>:blobs      likewise
ARGV
  1  epoch     partition epoch
  2  tomb_ms   how long a tombstone stays
  3+ runs      per run: id, seq of the sleep that is committed
RETURNS integer
  n >= 0 runs removed, -100 EPOCH
EMITS     nothing
REPEAT    0
COST      O(runs); hashes are unlinked, their memory is freed elsewhere
]]
--- @include "partition"
local meta, release, tombs = KEYS[1], KEYS[2], KEYS[3]
local tomb_ms, count = tonumber(ARGV[2]), (#ARGV - 2) / 2

if not open_partition(meta, ARGV[1]) then
  return -100
end
local removed = 0
for i = 1, count do
  local run_id, seq, run = ARGV[1 + 2 * i], ARGV[2 + 2 * i], KEYS[3 + i]
  local have = redis.call("HMGET", run, "s", "sl")
  if have[1] == "asleep" and have[2] == seq then
    redis.call("ZADD", tombs, now_ms + tomb_ms, run_id)
    redis.call("UNLINK", run, KEYS[3 + count + i], KEYS[3 + 2 * count + i])
    redis.call("ZREM", release, run_id)
    removed = removed + 1
  end
end
redis.call("ZREMRANGEBYSCORE", tombs, "-inf", now_ms)
return removed
