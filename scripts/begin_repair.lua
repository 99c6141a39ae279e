--[[
begin_repair -- whether a frozen run may be repaired now; counts the try.

Removes what is in the place of the run's keys and of another type: it would keep the run from being
written. Not the list of its maps: as long as something else is there, who removes the maps looks for
them among all keys (release-maps.ts), and an empty list would say that there are none. Leaves a ticket
in the run's place: what is written by a try before this one counts no more.

Atomic because from the count on nobody else ends the run (cancel_run), and because a run that has
ended and left Redis meanwhile must not leave a hash behind that holds nothing but the count.

KEYS
  1  meta      hash    gv:{p}:meta        epoch; reads and writes
  2  run       hash    gv:{p}:run:<id>    status, tries; reads and writes
  3  signals   hash    gv:{p}:run:<id>:signals  removes one of another type; the same of
  4  blobs     hash    gv:{p}:run:<id>:blobs
  5  held      list    gv:{p}:run:<id>:held
ARGV
  1  epoch     partition epoch
  2  ticket    random
RETURNS integer
  1 the try begins, 2 the run is not here, where nobody can end it, nor is a ticket; 0 it is frozen no
  more, -100 EPOCH
EMITS     nothing
REPEAT    counts another try
COST      O(1)
]]
--- @include "partition"
local meta, run = KEYS[1], KEYS[2]

if not open_partition(meta, ARGV[1]) then
  return -100
end
local TYPES = { "hash", "hash", "hash", "list" }
for i, key in ipairs({ unpack(KEYS, 2, 5) }) do
  local is = redis.call("TYPE", key).ok
  if is ~= TYPES[i] and is ~= "none" then
    redis.log(redis.LOG_WARNING, "gavotte: " .. key .. " is a " .. is .. ", and is removed")
    redis.call("UNLINK", key)
  end
end
local have = redis.call("HMGET", run, "s", "rp")
if not have[1] then
  return 2
elseif have[1] ~= "suspect" then
  return 0
end
redis.call("HSET", run, "rp", -math.abs(tonumber(have[2] or 0)) - 1, "rt", ARGV[2])
return 1
