--[[
begin_wake -- who is about to put sleeping runs back leaves a ticket in their places.

Atomic because two may be at it at one time: what is written later counts only with the last ticket
(wake_run). A run that is not here, or whose committed sleep is, has no news that the archive has
not, and gets none before it is woken: who reads its journal after this reads all of it. Its ticket is
on the list of releases: one that is left for a run that had ended goes with the sweep.

KEYS
  1  meta      hash    gv:{p}:meta          epoch; reads and writes
  2  release   zset    gv:{p}:release       writes
  3+ runs      hash    gv:{p}:run:<id>      one per run; reads and writes
ARGV
  1  epoch     partition epoch
  2  ticket    random
  3+ runs      per run: id, seq of the sleep that is committed
RETURNS array
  1  0, or -100 EPOCH
  2+ per run: "" the ticket is in its place, "asleep" it sleeps anew and that is not committed yet,
     or it is to be repaired, "damaged" something else stands in its place, else its run epoch: it is
     awake
EMITS     nothing
REPEAT    the same
COST      O(runs)
]]
--- @include "partition"
--- @include "foreign"
local meta, release = KEYS[1], KEYS[2]
local ticket = ARGV[2]

if not open_partition(meta, ARGV[1]) then
  return { -100 }
end
local replies = { 0 }
for i = 1, (#ARGV - 2) / 2 do
  local run_id, seq, run = ARGV[1 + 2 * i], ARGV[2 + 2 * i], KEYS[2 + i]
  local have = unless_foreign(nil, redis.call, "HMGET", run, "s", "e", "sl")
  if not have then
    replies[i + 1] = "damaged"
  elseif have[1] == "suspect" or (have[1] == "asleep" and have[3] and have[3] ~= seq) then
    replies[i + 1] = "asleep"
  elseif have[1] and have[1] ~= "asleep" then
    replies[i + 1] = have[2]
  else
    redis.call("HSET", run, "s", "asleep", "tk", ticket)
    redis.call("HDEL", run, "sl")
    redis.call("ZADD", release, now_ms, run_id)
    replies[i + 1] = ""
  end
end
return replies
