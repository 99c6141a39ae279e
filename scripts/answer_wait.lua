--[[
answer_wait -- answers one parked token by its own address: a callback, or a decision on an approval.

Atomic because an answer races with the wait's timer, with signals and with other answers, and an
approval that needs two people must count each of them once.

KEYS
  1  ev        stream  gv:{p}:ev               journal, appends
  2  meta      hash    gv:{p}:meta             epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers           removes the wait's timeout
  4  run       hash    gv:{p}:run:<id>         reads status
  5  unit      hash    gv:{p}:run:<id>         where the token lives: the run, or a map element
  6  signals   hash    gv:{p}:run:<id>:signals waiters; reads and writes
  7  queue     stream  gv:{p}:q:*              of the token's node; appends
  8  blobs     hash    gv:{p}:run:<id>:blobs   only with a large value; writes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  unit_id   run, or run!home
  4  node      index
  5  secret    of the wait
  6  mode      "c" callback, "1" approved, "0" rejected
  7  who       JSON string: who decides; of a callback the id of the call
  8  data      JSON; of a callback the whole value {"kind":"callback",…}, opaque
  9+ pairs     of a large value: SHA-256, JSON text
RETURNS integer
  0 the token goes on, 1 recorded, more approvals are needed, 2 recorded before, -1 RUN_GONE,
  -2 RUN_ENDED, -3 OVER (used before, out of time, or answered otherwise), -4 NOT_ASSIGNED,
  -5 DECIDED (this person has decided otherwise), -6 BUSY, -7 OTHER_KIND, -8 TOO_LARGE, -9 AGAIN
  (the wait's queue is another one than was read: read it and call again), -100 EPOCH
EMITS     approval.decided node.resumed
REPEAT    2: the answers to a wait are kept until its node waits again
COST      O(answers to the wait)
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "waiters"
--- @include "held"
--- @include "blobs"
--- @include "unit"
--- @include "resume"
local ev, meta, timers, run, unit, signals, queue = unpack(KEYS)
local nonce, unit_id, node, secret, mode, who, data = unpack(ARGV, 2, 8)
local DATA_BYTES_MAX = 65536

if not open_partition(meta, ARGV[1]) then
  return -100
end
local status = redis.call("HGET", run, "s")
local have = redis.call("HMGET", unit, "n" .. node, "w" .. node, "a" .. node, "e", "ir")
if not status then
  return -1
end

-- Answers so far: "<secret>" and after 0x1F each: who, 0x1E, mode, 0x1E, the decision.
local answers = have[3] and string.match(have[3], "^[^\31]*") == secret and have[3] or secret
local decisions, approvals, before = {}, 0, nil
for w, m, decision in string.gmatch(answers, "\31([^\30]*)\30([^\30]*)\30([^\31]*)") do
  decisions[#decisions + 1] = decision
  approvals = m == "1" and approvals + 1 or approvals
  before = w == who and m or before
end
if before then
  return before == mode and 2 or -5
elseif status ~= "running" and status ~= "paused" then
  return (status == "suspect" or status == "asleep") and -6 or -2
end
local _, waits_for, required, assignees, queue_of_wait =
  string.match(have[2] or "", "^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31")
if waits_for ~= secret then
  return -3
elseif queue_of_wait ~= queue then
  return -9
elseif (mode == "c") ~= (required == "") then
  return -7
elseif #data > DATA_BYTES_MAX or blob_bytes(9) > DATA_BYTES_MAX then
  return -8
elseif assignees ~= "" and mode ~= "c" and not string.find(assignees, "\30" .. who .. "\30", 1, true) then
  return -4
end
local state, attempt, scope = parse_record(have[1] or "s1||")
local t = { run_id = unit_id, epoch = have[4], node = node, scope = scope, attempt = attempt,
  is_paused = status == "paused" }
if state ~= "w" or not scope_is_current(unit, scope)
  or (is_element(unit) and not element_run(element_place(unit))) then
  return -3
end

local decision, value = "", data
if mode ~= "c" then
  local at = string.format("%.0f", now_ms)
  decision = '{"actor":' .. who .. ',"approved":' .. (mode == "1" and "true" or "false")
    .. ',"data":' .. data .. ',"at":' .. at .. "}"
  decisions[#decisions + 1] = decision
  approvals = mode == "1" and approvals + 1 or approvals
  journal(told_of(unit_id) .. ',"e":"approval.decided","n":' .. node .. ',"s":"' .. scope
    .. '","a":' .. attempt .. ',"v":' .. decision .. "}")
  value = '{"kind":"approval","approved":' .. (mode == "1" and "true" or "false")
    .. ',"decisions":[' .. table.concat(decisions, ",") .. "]}"
end
keep_blobs(KEYS[8], 9)
local is_over = mode ~= "1" or approvals >= tonumber(required)
if is_over then
  resume(timers, unit, signals, t, queue, have[5], value)
end
redis.call("HSET", unit, "a" .. node, answers .. "\31" .. who .. "\30" .. mode .. "\30" .. decision)
close_partition(ev, meta, nonce)
return is_over and 0 or 1
