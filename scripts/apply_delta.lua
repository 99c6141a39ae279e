--[[
apply_delta -- the counter's arithmetic as a transition of its own: for repair, and as reference.

Atomic because the operation key and the delta are applied together, once.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      removes the run's timeout
  4  halted    zset    gv:{p}:halted      writes
  5  release   zset    gv:{p}:release     writes
  6  run       hash    gv:{p}:run:<id>    reads and writes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  run_id    run
  4  delta     integer, added to the run's counter
  5  op        operation key, applied once
RETURNS array
  {0, counter} applied, {1, counter} applied before, {-1} RUN_GONE or ended,
  {-13} COUNTER_NEGATIVE (nothing changed), {-100} EPOCH
EMITS     counter.adjusted run.completed run.failed node.resumed (of the parent)
REPEAT    {1, counter}
COST      O(1)
]]
--- @include "partition"
--- @include "token"
--- @include "run_end"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5] }
local run = KEYS[6]
local nonce, run_id, delta, op = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

if not delta or delta ~= math.floor(delta) then
  return redis.error_reply("GV_BADCALL apply_delta: delta is not an integer")
end
if not open_partition(k.meta, ARGV[1]) then
  return { -100 }
end
local have = redis.call("HMGET", run, "s", "e", "c", "nf", "x" .. op)
if have[1] ~= "running" and have[1] ~= "paused" then
  return { -1 }
end
local counter = tonumber(have[3])
if have[5] then
  return { 1, counter }
end
counter = counter + delta
if counter < 0 then
  return { -13 }
end
journal('{"r":"' .. run_id .. '","e":"counter.adjusted","d":' .. delta .. ',"c":' .. counter .. "}")
redis.call("HSET", run, "c", counter, "x" .. op, delta)
if counter == 0 then
  local status = have[4] and "failed" or "completed"
  journal('{"r":"' .. run_id .. '","e":"run.' .. status .. '"}')
  end_run(k, run, run_id, have[2], status, true)
end
close_partition(k.ev, k.meta, nonce)
return { 0, counter }
