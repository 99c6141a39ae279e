--[[
start_runs -- create the hot state of runs and emit the tokens of their entry nodes.

Atomic because a run without its entry tokens would never move, and tokens without their run are
refused: both or nothing.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      run timeouts; writes
  4  tombs     zset    gv:{p}:tombs       runs that ended a while ago; reads
  5  paused    zset    gv:{p}:paused      runs that may have held entries; writes
  6+ runs      hash    gv:{p}:run:<id>    one per run; creates
  .. queues    stream  gv:{p}:q:*         of the entry nodes; appends
  .. blobs     hash    gv:{p}:run:<id>:blobs  of runs that begin with large values; creates
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  packed    the batch, a MessagePack array, flat: number of runs, their ids, and each in the same
       order: epoch, not_after_ms, paused (1: its workflow is), its transitions as the journal has
       them, what it begins with (see include/run_start.lua); then large values that they refer to:
       which run's, its blobs' place in KEYS, SHA-256, JSON text each
RETURNS array
  1  0, or -100 EPOCH
  2+ per run: 0 started (if half-way, it is suspect and is repaired), -10 RUN_EXISTS, -11 RUN_ENDED
     (tombstone), -12 TOO_LATE (not_after)
EMITS     run.started run.paused run.suspect
REPEAT    a second start of a run is refused: it exists, or its tombstone does
COST      O(entries)
]]
--- @include "partition"
--- @include "token"
--- @include "held"
--- @include "late"
--- @include "run_start"
local ev, meta, timers, tombs, paused = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local nonce, packed = ARGV[2], ARGV[3]

if not open_partition(meta, ARGV[1], true) then
  return { -100 }
end

local list, replies = cmsgpack.unpack(packed), { 0 }
local run_count, OTHER_KEYS = list[1], 5
if run_count == 0 then
  return replies
end
-- Of all of them in one call: hardly ever is one there. A run that comes twice is looked at each time.
local any_exists = redis.call("EXISTS", unpack(KEYS, OTHER_KEYS + 1, OTHER_KEYS + run_count)) > 0
local tombstones = redis.call("ZMSCORE", tombs, unpack(list, 2, run_count + 1))
local started = {}

local function refusal(i, run, not_after_ms)
  if started[run] or (any_exists and redis.call("EXISTS", run) == 1) then
    return -10
  elseif tombstones[i] then
    return -11
  elseif now_ms > not_after_ms then
    return -12
  end
  return 0
end

local at = run_count + 2
for i = 1, run_count do
  local run = KEYS[OTHER_KEYS + i]
  replies[i + 1] = refusal(i, run, tonumber(list[at + 1]))
  if replies[i + 1] == 0 then
    local r = { key = run, id = list[i + 1], epoch = list[at], is_paused = list[at + 2] == 1 }
    started[run] = true
    journal(list[at + 3])
    if r.is_paused then
      redis.call("ZADD", paused, now_ms, r.id)
    end
    local is_done, reason = pcall(start_run, timers, r, list, at + 4)
    if not is_done then
      suspect({ [r.id] = true }, reason)
    end
  end
  at = after_start(list, at + 4)
end
-- After the runs: what some of them refer to.
for large = at, #list, 4 do
  if replies[list[large] + 1] == 0 then
    redis.call("HSET", KEYS[list[large + 1]], list[large + 2], list[large + 3])
  end
end
close_partition(ev, meta, nonce)
return replies
