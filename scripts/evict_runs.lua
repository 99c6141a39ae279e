--[[
evict_runs -- remove what sleeping runs used, after their sleep is committed in Postgres.

Atomic because only the very sleep that is committed may go: a run that was woken since, or sleeps
again and that is not archived yet, stays. Its id is on the list of tombstones before the hash is
gone: a late start would run the workflow again.

KEYS
  1  meta      hash    gv:{p}:meta                epoch; reads and writes
  2  release   zset    gv:{p}:release             removes
  3  tombs     zset    gv:{p}:tombs               writes
  4  paused    zset    gv:{p}:paused              removes
  5+ runs      hash    gv:{p}:run:<id>            one per run; removes, with its maps and elements
  .. signals   hash    gv:{p}:run:<id>:signals    one per run, in the same order; removes
  .. blobs     hash    gv:{p}:run:<id>:blobs      likewise
  .. held      list    gv:{p}:run:<id>:held       likewise
  .. maps      set     gv:{p}:run:<id>:maps       likewise
  .. map       hash    gv:{p}:run:<map>           of the runs in their order; removes, with its elements
ARGV
  1  epoch     partition epoch
  2  tomb_ms   how long a tombstone stays
  3+ runs      per run: id, seq of the sleep that is committed, number of its maps
RETURNS integer
  n >= 0 runs removed, -100 EPOCH
EMITS     nothing
REPEAT    0
COST      O(runs and elements begun), and at most 1,000 tombstones; hashes are unlinked, their memory is freed elsewhere
]]
--- @include "partition"
--- @include "foreign"
--- @include "tombstones"
local meta, release, tombs, paused = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tomb_ms, count = tonumber(ARGV[2]), (#ARGV - 2) / 3

if not open_partition(meta, ARGV[1]) then
  return -100
end
local KEYS_MAX = 1000

-- With the elements that have begun, or that an expansion before had begun.
local function remove_map(map)
  local have = unless_foreign({}, redis.call, "HMGET", map, "next", "again")
  local begun = math.max(tonumber(have[1] or 0), tonumber(have[2] or 0))
  for from = 0, begun - 1, KEYS_MAX do
    local elements = {}
    for i = from, math.min(from + KEYS_MAX, begun) - 1 do
      elements[#elements + 1] = map .. "#" .. i
    end
    redis.call("UNLINK", unpack(elements))
  end
  redis.call("UNLINK", map)
end

local removed, maps_at = 0, 4 + 5 * count
for i = 1, count do
  local run_id, seq, run = ARGV[3 * i], ARGV[3 * i + 1], KEYS[4 + i]
  local map_count = tonumber(ARGV[3 * i + 2])
  local have = unless_foreign({}, redis.call, "HMGET", run, "s", "sl")
  if have[1] == "asleep" and have[2] == seq then
    redis.call("ZADD", tombs, now_ms + tomb_ms, run_id)
    local held, maps = KEYS[4 + 3 * count + i], KEYS[4 + 4 * count + i]
    for at = maps_at + 1, maps_at + map_count do
      remove_map(KEYS[at])
    end
    redis.call("UNLINK", run, KEYS[4 + count + i], KEYS[4 + 2 * count + i], held, maps)
    redis.call("ZREM", release, run_id)
    redis.call("ZREM", paused, run_id)
    removed = removed + 1
  end
  maps_at = maps_at + map_count
end
remove_tombstones(tombs, now_ms)
return removed
