--[[
put_blobs -- keep large outputs with their run, before the tokens that refer to them are settled.

Atomic because a run that has ended is released with its blobs: one that is written after that
would stay for ever.

KEYS
  1  meta      hash    gv:{p}:meta            epoch; reads
  2  run       hash    gv:{p}:run:<id>        status, run epoch; reads
  3  blobs     hash    gv:{p}:run:<id>:blobs  by sha256; writes
ARGV
  1  epoch      partition epoch
  2  run_epoch  the run's
  3+ pairs      sha256, JSON text
RETURNS integer
  0 kept, -1 RUN_GONE (or ended), -2 RUN_EPOCH, -100 EPOCH
REPEAT    writes the same again
COST      O(bytes)
]]
--- @include "partition"
--- @include "blobs"
local meta, run, blobs = KEYS[1], KEYS[2], KEYS[3]

if not open_partition(meta, ARGV[1]) then
  return -100
end
local have = redis.call("HMGET", run, "s", "e")
if not have[1] or have[1] == "completed" or have[1] == "failed" or have[1] == "cancelled" then
  return -1
elseif have[2] ~= ARGV[2] then
  return -2
end
keep_blobs(blobs, 3)
return 0
