--[[
release_runs -- remove what ended runs used, after their end is committed in Postgres.

Atomic because the tombstone must be there before the hash is gone: between the two a late start
would run the workflow again. A child is kept as long as the token that started it has not read how
it ended; one that still waits although the child is over (a repair has put it back) is woken.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      removes
  4  release   zset    gv:{p}:release     removes, writes
  5  tombs     zset    gv:{p}:tombs       writes
  6  paused    zset    gv:{p}:paused      removes
  7+ runs      hash    gv:{p}:run:<id>    one per run; removes, with its list `held`
  .. signals   hash    gv:{p}:run:<id>:signals  one per run, in the same order; removes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  tomb_ms   how long a tombstone stays
  4  run_count
  5+ runs      their ids
  .. members   timers of these runs that are still armed
RETURNS integer
  n >= 0 runs removed, -100 EPOCH
EMITS     node.resumed
REPEAT    a run that is gone is only taken off the list
COST      O(runs), and at most 1,000 tombstones; hashes are unlinked, their memory is freed elsewhere
]]
--- @include "partition"
--- @include "foreign"
--- @include "held"
--- @include "parent"
--- @include "tombstones"
local ev, meta, timers, release, tombs, paused = unpack(KEYS, 1, 6)
local nonce, tomb_ms, run_count = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local KEPT_MS = 3000

if not open_partition(meta, ARGV[1]) then
  return -100
end
local FINAL = { completed = true, failed = true, cancelled = true }
local removed = 0

-- Whether the parent's token has yet to read how this child ended. One that cannot be read does once
-- it is rebuilt.
local function is_wanted(run_id, run, up, status)
  local state = unless_foreign("foreign", waits_for_child, parent_of(run, run_id, up), run_id)
  if state == "w" then
    resume_parent(timers, run, run_id, up, status)
  end
  return state ~= nil
end

-- One call for what goes of all of them; a call takes at most CALL_MAX of each.
local CALL_MAX = 500
local gone, tombed, ids, is_released = {}, {}, {}, {}
local tombed_until = string.format("%.0f", now_ms + tomb_ms)
local any_paused = redis.call("EXISTS", paused) == 1

for i = 1, run_count do
  local run_id, run = ARGV[4 + i], KEYS[6 + i]
  local have = unless_foreign({}, redis.call, "HMGET", run, "s", "up", "tk", "sl")
  local status, up = have[1], have[2]
  -- The ticket of somebody who came too late to wake it (begin_wake).
  local is_ticket = status == "asleep" and have[3] and not have[4]
  -- A run that lives again under a new epoch is not what was released.
  if FINAL[status] and up and is_wanted(run_id, run, up, status) then
    redis.call("ZADD", release, now_ms + KEPT_MS, run_id)
  elseif not status or FINAL[status] or is_ticket then
    if any_paused and redis.call("ZREM", paused, run_id) == 1 then
      redis.call("UNLINK", held_key(run))
    end
    removed = status and removed + 1 or removed
    local at = #gone
    gone[at + 1], gone[at + 2] = run, KEYS[6 + run_count + i]
    gone[at + 3] = KEYS[6 + 2 * run_count + i]
    tombed[#tombed + 1], tombed[#tombed + 2] = tombed_until, run_id
    ids[#ids + 1] = run_id
    is_released[run_id] = true
  end
end

local function in_calls(command, key, values)
  for from = 1, #values, CALL_MAX do
    redis.call(command, key, unpack(values, from, math.min(from + CALL_MAX - 1, #values)))
  end
end

-- The tombstones are there before the hashes are gone.
in_calls("ZADD", tombs, tombed)
for from = 1, #gone, CALL_MAX do
  redis.call("UNLINK", unpack(gone, from, math.min(from + CALL_MAX - 1, #gone)))
end
in_calls("ZREM", release, ids)
for i = 5 + run_count, #ARGV do
  -- They were read before: of a run that lives again they may be what it waits for now.
  if is_released[string.match(ARGV[i], "^[^|]*|([^|!]*)")] then
    redis.call("ZREM", timers, ARGV[i])
  end
end
remove_tombstones(tombs, now_ms)
close_partition(ev, meta, nonce)
return removed
