--[[
start_child -- a sub-workflow's token starts its child run, and is parked until that has ended.

Atomic because a child that nobody waits for, or a token that waits for no child, would be the end
of both. The child's id is derived from the token and the attempt, and the attempt is marked as
started in the parent: a redelivered token starts nothing new (21 A7).

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      the wait's and the child's timeouts; writes
  4  halted    zset    gv:{p}:halted      runs that ended badly; writes
  5  release   zset    gv:{p}:release     runs whose keys may go; writes
  6  tombs     zset    gv:{p}:tombs       runs that ended a while ago; reads
  7  paused    zset    gv:{p}:paused      runs that may have held entries; writes
  8  run       hash    gv:{p}:run:<id>    the parent run; reads
  9  unit      hash    gv:{p}:run:<id>    where the token lives: the run, or a map element; writes
 10  child     hash    gv:{p}:run:<id>    creates
 11  queue     stream  gv:{p}:q:*         of the token's node: there it goes on
 12  stream    stream  gv:{p}:q:*         of the token's entry; acknowledges
 13+ queues    stream  gv:{p}:q:*         of the child's workflow; appends
  .. blobs     hash    gv:{p}:run:<id>:blobs  of a child with a large input; creates
 The child of the attempt before, which is named in the token's unit, lies in the same slot; writes.
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  unit_id   run, or run!home
  4  run_epoch of the token
  5  node      index
  6  scope     of the token
  7  attempt   of the token
  8  entry_id  stream entry of the token
  9  child_id  of the new run
 10  ir        hash of its workflow
 11  input     JSON; of a large one the reference
 12  meta      namespace|priority
 13  start     MessagePack array: what it begins with, see include/run_start.lua
 14  waits     1: the token is parked, 0: it is the caller's to complete, the child has no parent
 15  wait_ms   timeout of the wait, 0 none
 16  node_id   id of the token's node, as JSON
 17  large     of a large input: where blobs are in KEYS; else 0
 18+ pairs     of a large input: SHA-256, JSON text
RETURNS integer, or a string: the id of the child that this attempt has started before (waits 0)
  0 started, 1 started before, 2 the token was parked or settled before (nothing to do),
  -1 RUN_GONE, -2 RUN_EPOCH, -3 TOKEN_NOT_ACTIVE, -14 CHILD_EXISTS (or its tombstone does),
  -15 TOO_DEEP, -100 EPOCH
EMITS     run.started run.paused node.parked child.started run.cancelled
          node.resumed (of a parent)
REPEAT    the id, or 2
COST      O(entries)
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "held"
--- @include "waiters"
--- @include "run_end"
local DEPTH_MAX, GROUP = 16, "workers"
--- @include "late"
--- @include "run_start"
--- @include "blobs"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5] }
local tombs, paused, run, unit, child, queue, stream = unpack(KEYS, 6, 12)
local nonce, unit_id, run_epoch, node, scope, attempt, entry_id, child_id, ir, input, meta =
  unpack(ARGV, 2, 12)
local start, waits, wait_ms, node_id = ARGV[13], ARGV[14] == "1", tonumber(ARGV[15]), ARGV[16]
local large = tonumber(ARGV[17])

if not open_partition(k.meta, ARGV[1]) then
  return -100
end
local status = redis.call("HMGET", run, "s", "e", "sub", "dep")
local have = redis.call("HMGET", unit, "n" .. node, "w" .. node)
local depth = (tonumber(status[4]) or 0) + 1
if is_element(unit) then
  local _, epoch = element_run(element_place(unit))
  status[2] = epoch
end
if status[1] ~= "running" and status[1] ~= "paused" then
  return -1
elseif not status[2] then
  return -3
elseif status[2] ~= run_epoch then
  return -2
end
local state, tried, at_scope, arrivals = parse_record(have[1] or "s1||")
local mark = "=" .. attempt .. "|" .. scope
if state ~= "a" or tried ~= tonumber(attempt) or at_scope ~= scope or not scope_is_current(unit, scope) then
  return -3
elseif have[2] == mark then
  return waits and 2 or 1
elseif string.sub(have[2] or "", 1, #mark + 1) == mark .. "|" then
  return waits and 2 or string.sub(have[2], #mark + 2)
elseif depth > DEPTH_MAX then
  return -15
elseif redis.call("EXISTS", child) == 1 or redis.call("ZSCORE", tombs, child_id) then
  return -14
end

-- A child of the attempt before that was given up (the wait was over time) ends before this begins.
local function cancel_former()
  local former_id = child_of(have[2] or "", scope)
  local former = former_id and string.sub(child, 1, #child - #child_id) .. former_id
  local was = former and unless_foreign({}, redis.call, "HMGET", former, "s", "e") or {}
  if not was[1] or was[1] == "completed" or was[1] == "failed" or was[1] == "cancelled"
    or was[1] == "asleep" or was[1] == "suspect" then
    return -- a frozen one is nobody's from now on: a supervisor puts it back and cancels it
  end
  local err = '{"error":{"code":"CANCELLED","message":"its parent\'s node tries again"}}'
  journal('{"r":"' .. former_id .. '","e":"run.cancelled","err":' .. err .. "}")
  end_run(k, former, former_id, was[2], "cancelled", true, err)
end

-- A paused run's children are paused with it; one that nobody waits for is nobody's child.
local is_paused = waits and status[1] == "paused"
local PAUSED_WITH_PARENT = "p"
local up = unit_id .. "|" .. node .. "|" .. scope .. "|" .. attempt .. "|" .. queue
local function tell()
  local token = ',"n":' .. node .. ',"s":"' .. scope .. '","a":' .. attempt
  local parent = told_of(unit_id) .. ',"e":"'
  journal('{"r":"' .. child_id .. '","e":"run.started","ir":"' .. ir .. '","ep":1,"p":"' .. meta .. '","dep":'
    .. depth .. (waits and ',"up":' .. cjson.encode(up) .. ',"un":' .. node_id or "") .. ',"inp":' .. input .. "}")
  if is_paused then
    journal('{"r":"' .. child_id .. '","e":"run.paused","ps":"' .. PAUSED_WITH_PARENT .. '"}')
  end
  if waits then
    journal(parent .. 'node.parked"' .. token
      .. (wait_ms > 0 and ',"due":' .. string.format("%.0f", now_ms + wait_ms) or "")
      .. ',"w":{"kind":"child","run":"' .. child_id .. '"}}')
  else
    journal(parent .. 'child.started"' .. token .. ',"ch":"' .. child_id .. '"}')
  end
end

local function apply()
  start_run(k.timers, { key = child, id = child_id, epoch = 1, is_paused = is_paused }, cmsgpack.unpack(start), 1)
  keep_blobs(KEYS[large], 18)
  redis.call("HSET", child, "dep", depth)
  if status[3] then
    redis.call("HSET", child, "sub", status[3])
  end
  if waits then
    redis.call("HSET", child, "up", up)
  end
  if is_paused then
    redis.call("HSET", child, "s", "paused", "ps", PAUSED_WITH_PARENT)
    redis.call("ZADD", paused, now_ms, child_id)
  end
  if not waits then
    redis.call("HSET", unit, "w" .. node, mark .. "|" .. child_id)
    return
  end
  redis.call("HSET", unit, "n" .. node, "w" .. attempt .. "|" .. scope .. "|" .. arrivals,
    "w" .. node, "\31\31\31\31" .. queue .. '\31{"kind":"child","run":"' .. child_id .. '"}')
  if wait_ms > 0 then
    local member = timer_member("expire", unit_id, run_epoch, node, scope, attempt, queue)
    arm_timer(k.timers, unit, node, now_ms + wait_ms, member)
    redis.call("HSET", unit, "x", 1)
  end
end

cancel_former()
tell()
apply()
close_partition(k.ev, k.meta, nonce)
if waits and entry_id ~= "" then
  redis.call("XDEL", stream, entry_id)
  redis.call("XACK", stream, GROUP, entry_id)
end
return 0
