--[[
intervene_token -- somebody settles a token of a live run by hand: complete, fail, skip, retry.

Atomic because the token's record, its timer and its entry belong together. Edges are decided by a
worker: the token becomes a ready one that carries what is to become of it. A token that somebody
is executing gets the next attempt, so that his failure does not count any more; whichever success
comes first wins. So does a map whose elements run: whoever had its entry cannot expand it again.
`halted` tells workers to look at the token before they begin it, and whoever is at it to stop.

KEYS
  1  ev        stream  gv:{p}:ev                     journal, appends
  2  meta      hash    gv:{p}:meta                   epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers                 removes the token's; arms its time in the queue
  4  halted    zset    gv:{p}:halted                 of a token that may be at work; writes
  5  run       hash    gv:{p}:run:<id>               status; reads. Its list `held`, appends
  6  unit      hash    gv:{p}:run:<unit>             the token's hash; reads and writes
  7  signals   hash    gv:{p}:run:<id>:signals       takes the token off who waits
  8  queue     stream  gv:{p}:q:*                    the node's queue; appends what is tried again,
                                                     all else beside it (include/queue_of_all.lua)
  9  blobs     hash    gv:{p}:run:<id>:blobs         only with a large value; writes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  unit_id   run, or <run>!<home>
  4  node      index
  5  wanted    scope of the token, "*" whichever is active
  6  action    complete, fail, skip, retry
  7  answer    JSON {"kind":"manual","action":…}: payload of the entry, and `v` in the journal
  8  input     of retry: JSON that the token is executed with from now on, "" what it had
  9+ pairs     of a large value: SHA-256, JSON text
RETURNS array
  {0, attempt} done, {-1} RUN_GONE, {-2, status} the run's status does not allow it,
  {-3, record state} the node has no token that can be settled ("" none at all),
  {-4, state} retry of a token that waits for somebody, {-100} EPOCH
EMITS     node.resumed node.activated
REPEAT    as a new order: a token that is still not settled gets one entry more
COST      O(1)
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "waiters"
--- @include "held"
--- @include "blobs"
--- @include "unit"
--- @include "wait_over"
--- @include "late"
local ev, meta, timers, halted, run, unit, signals, queue =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local nonce, unit_id, node, wanted, action, answer, input = unpack(ARGV, 2, 8)

if not open_partition(meta, ARGV[1]) then
  return { -100 }
end
local status = redis.call("HGET", run, "s")
if not status then
  return { -1 }
elseif status ~= "running" and status ~= "paused" then
  return { -2, status }
end
local have = redis.call("HMGET", unit, "n" .. node, "d" .. node, "w" .. node, "e", "ir", "qt")
if not have[1] then
  return { -3, "" }
end
if is_element(unit) and not element_run(element_place(unit)) then
  return { -3, "" }
end
local state, attempt, scope, arrivals = parse_record(have[1])
if not string.find("arwm", state, 1, true) or (wanted ~= "*" and wanted ~= scope)
  or not scope_is_current(unit, scope) then
  return { -3, state }
elseif action == "retry" and state ~= "a" and state ~= "r" then
  return { -4, state }
end
local was = state .. attempt
attempt = (state == "a" or state == "m") and attempt + 1 or attempt
local kind, payload, becomes, event = "v", answer, "a", "node.resumed"
if action == "retry" then
  kind, payload, event = "", "", "node.activated"
elseif action == "skip" then
  kind, payload, becomes = "k", "D", "k"
end
journal(told_of(unit_id) .. ',"e":"' .. event .. '","n":' .. node .. ',"s":"' .. scope .. '","a":' .. attempt
  .. ',"was":"' .. was .. '","v":' .. answer .. "}")
redis.call("HSET", unit, "n" .. node, becomes .. attempt .. "|" .. scope .. "|" .. (becomes == "k" and "D" or arrivals))
keep_blobs(KEYS[9], 9)
if input ~= "" then
  redis.call("HSET", unit, "o" .. node, scope .. "|" .. input)
end
if action ~= "retry" then
  redis.call("HSET", unit, "w" .. node, wait_over(have[3], attempt, scope))
end
if have[2] then
  redis.call("HDEL", unit, "d" .. node)
  redis.call("ZREM", timers, have[2])
end
if state == "w" then
  leave_line(signals, node, home_of(unit_id))
elseif state ~= "r" then
  redis.call("ZADD", halted, now_ms, string.match(unit_id, "^[^!]*"))
end
-- Of what is not tried again nothing is executed.
dispatch(status == "paused", unit, action == "retry" and queue or common_queue(queue),
  pack_entry(unit_id, have[4], node, scope, attempt, have[5], kind, kind == "k" and "" or arrivals, payload))
-- What a paused run holds has its time in the queue from when it is resumed.
local late = action == "retry" and status == "running" and late_ms(have[6], node)
if late then
  arm_late(timers, unit, late, late_member(unit_id, have[4], node, scope, attempt, queue), node)
  if is_element(unit) then
    redis.call("HSET", unit, "x", 1)
  end
end
close_partition(ev, meta, nonce)
return { 0, attempt }
