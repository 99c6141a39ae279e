--[[
signal_run -- a signal for a run: to the oldest token that waits for its name, else kept.

Atomic because a signal serves one wait: between looking for a waiting token and waking it, a timer
or another signal may be first.

KEYS
  1  ev        stream  gv:{p}:ev               journal, appends
  2  meta      hash    gv:{p}:meta             epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers           removes the wait's timeout
  4  run       hash    gv:{p}:run:<id>         reads status, epoch
  5  signals   hash    gv:{p}:run:<id>:signals accepted ids, kept signals, waiters; reads and writes
  6  blobs     hash    gv:{p}:run:<id>:blobs   only with a large value; writes
     unit      hash    gv:{p}:run:<id>         where a waiter lives, the run or a map element, and
     queue     stream  gv:{p}:q:*              its queue follow from the waiter; writes, appends
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  run_id    run
  4  id        of the signal: accepted once per run
  5  name      what it is a signal of
  6  value     {"kind":"signal","name":…,"id":…,"data":…}, opaque
  7+ pairs     of a large value: SHA-256, JSON text
RETURNS integer
  0 a waiting token goes on, 1 kept, 2 accepted before, -1 RUN_GONE, -2 RUN_ENDED, -3 FULL,
  -4 TOO_LARGE, -5 AGAIN (PLACES_MAX places were given up or gaps; call again), -6 BUSY (the
  run is being repaired, or is falling asleep), -100 EPOCH
EMITS     node.resumed signal.kept
REPEAT    2, as long as the run remembers the id: its last IDS_MAX ones
COST      O(places looked at): up to PLACES_MAX, each place once in a run
]]
--- @include "partition"
--- @include "foreign"
--- @include "scope"
--- @include "token"
--- @include "waiters"
--- @include "held"
--- @include "blobs"
--- @include "unit"
--- @include "resume"
local ev, meta, timers, run, signals = unpack(KEYS)
local nonce, run_id, id, name, value = unpack(ARGV, 2, 6)
local KEPT_MAX, VALUE_BYTES_MAX, IDS_MAX, PLACES_MAX = 64, 65536, 1000, 500

if not open_partition(meta, ARGV[1]) then
  return -100
end
local have = redis.call("HMGET", run, "s", "e")
if not have[1] then
  return -1
end
local is_open = have[1] == "running" or have[1] == "paused"
local function read_signals()
  return redis.call("HMGET", signals, "i:" .. id, "n", "k", "q:" .. name)
end
-- Only of a run that is under way does what stands in their place stop anything: that one is rebuilt.
local seen = is_open and read_signals() or unless_foreign({}, read_signals)
if seen[1] then
  return 2
elseif not is_open then
  return (have[1] == "suspect" or have[1] == "asleep") and -6 or -2
elseif #value > VALUE_BYTES_MAX or blob_bytes(7) > VALUE_BYTES_MAX then
  return -4
end

-- Ids are remembered in a ring: a run that lives for years and is signalled each minute stays small.
local count = (tonumber(seen[2]) or 0) + 1
local place = "r" .. count % IDS_MAX
local function remember()
  local oldest = redis.call("HGET", signals, place)
  if oldest then
    redis.call("HDEL", signals, "i:" .. oldest)
  end
  redis.call("HSET", signals, "i:" .. id, count, place, id, "n", count)
  keep_blobs(KEYS[6], 7)
end

local function take(node, home, scope, attempt, queue)
  local inner = home == "" and "" or "!" .. home
  local at = redis.call("HMGET", run .. inner, "e", "ir")
  local t = { run_id = run_id .. inner, epoch = at[1], node = node, scope = scope, attempt = attempt,
    is_paused = have[1] == "paused" }
  return at[1] and resume(timers, run .. inner, signals, t, queue, at[2], value)
end
local is_taken, is_more = offer(signals, name, PLACES_MAX, take)
if is_taken then
  remember()
  close_partition(ev, meta, nonce)
  return 0
elseif is_more then
  return -5
end
if (tonumber(seen[3]) or 0) >= KEPT_MAX then
  return -3
end
journal('{"r":"' .. run_id .. '","e":"signal.kept","v":' .. value .. "}")
remember()
redis.call("HSET", signals, "p" .. count, value, "k", (tonumber(seen[3]) or 0) + 1,
  "q:" .. name, seen[4] and seen[4] .. "," .. count or count)
close_partition(ev, meta, nonce)
return 1
