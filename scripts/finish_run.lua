--[[
finish_run -- end a run whose output template a worker has evaluated.

Atomic because status, timer, journal and release entry belong together; the first call wins.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      removes finish and run timers
  4  halted    zset    gv:{p}:halted      runs that ended badly; writes
  5  release   zset    gv:{p}:release     runs whose keys may go; writes
  6  run       hash    gv:{p}:run:<id>    reads and writes
  7  queue     stream  gv:{p}:q:*         queue of the finish entry; acknowledges
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  run_id    run
  4  run_epoch its epoch
  5  status    completed or failed
  6  value     output JSON, or {"error":…} when failed
  7  member    the finish timer's member
  8  entry_id  entry to acknowledge, "" if none
RETURNS integer
  0 done, -1 RUN_GONE (or not finishing), -2 RUN_EPOCH, -100 EPOCH
EMITS     run.completed run.failed node.resumed (of the parent)
REPEAT    -1: the run is no longer finishing
COST      O(1)
]]
--- @include "partition"
--- @include "token"
--- @include "run_end"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5] }
local run, queue = KEYS[6], KEYS[7]
local nonce, run_id, run_epoch, status = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local value, member, entry_id = ARGV[6], ARGV[7], ARGV[8]

if not open_partition(k.meta, ARGV[1]) then
  return -100
end
if entry_id ~= "" then
  redis.call("XDEL", queue, entry_id)
  redis.call("XACK", queue, "workers", entry_id)
end
local have = redis.call("HMGET", run, "s", "e")
if have[1] ~= "finishing" then
  return -1
elseif have[2] ~= run_epoch then
  return -2
end
journal('{"r":"' .. run_id .. '","e":"run.' .. status .. '",'
  .. (status == "completed" and '"o":' or '"err":') .. value .. "}")
redis.call("ZREM", k.timers, member)
end_run(k, run, run_id, run_epoch, status, true, value)
close_partition(k.ev, k.meta, nonce)
return 0
