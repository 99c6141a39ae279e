--[[
remove_orphan -- remove what belongs to no run, or to a life of a run that is over, if it still does.

Atomic because between a look at it and the removal its run may come to be, or go on under another
epoch: woken, redriven, rebuilt. What stands there then is what the run needs.

KEYS
  1  meta      hash    gv:{p}:meta        epoch; reads and writes
  2  run       hash    gv:{p}:run:<id>    whose it would be; reads
  3  key       all     gv:{p}:*           what was looked at, or what it stands in
  4+ more      all     gv:{p}:*           what the commands write
ARGV
  1  epoch     partition epoch
  2  status    of the run at the look; "" it was not there, or its key is of another type
  3  run_epoch likewise
  4  type      of the key at the look
  5+ commands  each: number of texts, then the command and its arguments
RETURNS integer
  1 done, 0 run or key is not as it was at the look: nothing is done, -100 EPOCH
EMITS     nothing
REPEAT    0, or removes nothing
COST      O(what the commands remove)
]]
--- @include "partition"
--- @include "foreign"
local meta, run, key = KEYS[1], KEYS[2], KEYS[3]
local status, run_epoch, type = ARGV[2], ARGV[3], ARGV[4]

if not open_partition(meta, ARGV[1]) then
  return -100
end
local have = unless_foreign({}, redis.call, "HMGET", run, "s", "e")
if (have[1] or "") ~= status or (have[2] or "") ~= run_epoch
  or redis.call("TYPE", key).ok ~= type then
  return 0
end
local at = 5
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
return 1
