--[[
suspect_run -- freeze a run that an audit found wrong, so that it is rebuilt from its journal.

Atomic because nothing may be accepted for the run between the mark in the journal and its rebuild:
what the journal does not have would be lost.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  run       hash    gv:{p}:run:<id>    reads and writes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  run_id    run
  4  status    what the audit saw; "" the run was not there, or its key is of another type
  5  run_epoch likewise
RETURNS integer
  0 marked, -1 it is not as the audit saw it: nothing is done, -100 EPOCH
EMITS     run.suspect
REPEAT    -1, or 0 and one more mark for a run that is not there: it is rebuilt once more
COST      O(1)
]]
--- @include "partition"
--- @include "foreign"
local ev, meta, run = KEYS[1], KEYS[2], KEYS[3]
local nonce, run_id, status, run_epoch = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if not open_partition(meta, ARGV[1]) then
  return -100
end
local found = unless_foreign(nil, redis.call, "HMGET", run, "s", "e")
local have = found or {} -- of another type: nothing of the run is there
if (have[1] or "") ~= status or (have[2] or "") ~= run_epoch then
  return -1
end
journal('{"r":"' .. run_id .. '","e":"run.suspect"}')
if found and redis.call("EXISTS", run) == 1 then
  redis.call("HSET", run, "s", "suspect")
end
close_partition(ev, meta, nonce)
return 0
