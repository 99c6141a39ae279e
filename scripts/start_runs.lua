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
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  runs      number of runs; each is
       key, run, epoch, ir, input, meta (namespace|priority), not_after_ms, timeout_ms (0 none; after
       it queue timeouts, see include/late.lua),
       queue_base, pause (w: its workflow is paused, "" none), sub (JSON of the workflows that its
       tree's references mean, "" none), entries; and per entry: node, suffix, queue
RETURNS array
  1  0, or -100 EPOCH
  2+ per run: 0 started, -10 RUN_EXISTS, -11 RUN_ENDED (tombstone), -12 TOO_LATE (not_after)
EMITS     run.started run.paused
REPEAT    a second start of a run is refused: it exists, or its tombstone does
COST      O(entries)
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "held"
local PAYLOAD_INLINE_MAX = 4096
--- @include "late"
--- @include "run_start"
local ev, meta, timers, tombs, paused = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local nonce, run_count = ARGV[2], tonumber(ARGV[3])

if not open_partition(meta, ARGV[1], true) then
  return { -100 }
end

local replies, at = { 0 }, 4
local keys, ids = {}, {}
for i = 1, run_count do
  keys[i], ids[i] = KEYS[tonumber(ARGV[at])], ARGV[at + 1]
  at = at + 12 + tonumber(ARGV[at + 11]) * 3
end
-- Of all of them in one call: hardly ever is one there. A run that comes twice is looked at each time.
local any_exists = run_count > 0 and redis.call("EXISTS", unpack(keys)) > 0
local tombstones = run_count > 0 and redis.call("ZMSCORE", tombs, unpack(ids)) or {}
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

local function start(run, at)
  local run_id, epoch, ir, base = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 8])
  local pause, sub, entries = ARGV[at + 9], ARGV[at + 10], tonumber(ARGV[at + 11])
  local r = { key = run, id = run_id, epoch = epoch, ir = ir, input = ARGV[at + 4], meta = ARGV[at + 5],
    timeouts = ARGV[at + 7], is_paused = pause ~= "", fields = {}, sent = {} }
  journal('{"r":"' .. run_id .. '","e":"run.started","ir":"' .. ir .. '","ep":' .. epoch .. "}")
  if r.is_paused then
    journal('{"r":"' .. run_id .. '","e":"run.paused","ps":"' .. pause .. '"}')
    r.fields = { "ps", pause }
    redis.call("ZADD", paused, now_ms, run_id)
  end
  if sub ~= "" then
    r.fields[#r.fields + 1], r.fields[#r.fields + 2] = "sub", sub
  end
  for i = 1, entries do
    local from = at + 9 + i * 3
    r.sent[i] = { ARGV[from], ARGV[from + 1], KEYS[base + tonumber(ARGV[from + 2])] }
  end
  start_run(timers, r)
end

at = 4
for i = 1, run_count do
  local run = keys[i]
  replies[i + 1] = refusal(i, run, tonumber(ARGV[at + 6]))
  if replies[i + 1] == 0 then
    started[run] = true
    start(run, at)
  end
  at = at + 12 + tonumber(ARGV[at + 11]) * 3
end
close_partition(ev, meta, nonce)
return replies
