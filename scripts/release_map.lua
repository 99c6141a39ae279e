--[[
release_map -- remove a page of the elements of a map that is over and, with the last page, the map.

Atomic because a map may be expanded under the same name meanwhile. When one around a void map is settled
and tried again by hand, that takes the name off the list; when an ended run is redriven, it has not
ended any more. What is removed then would be the elements of the new one.

KEYS
  1  release   zset    gv:{p}:release          names what is void; reads and writes
  2  timers    zset    gv:{p}:timers           removes
  3  maps      set     gv:{p}:run:<id>:maps    the run's maps that have keys; writes, removes one of another type
  4  map       hash    gv:{p}:run:<map>        removes
  5  run       hash    gv:{p}:run:<id>         whose map it is; reads
  6+ elements  hash    gv:{p}:run:<map>#<i>    removes
ARGV
  1  listed    the map on the list: this one, or one around it; "": none, its run has ended
  2  map       name of this one
  3  last      1: no elements are left after this page
RETURNS integer
  1 removed, 0 no longer on the list, or its run has not ended: the map lives again
REPEAT    0, or removes nothing
COST      O(elements), at most 500
]]
--- @include "foreign"
--- @include "element_remove"
local release, timers, maps, map, run = unpack(KEYS, 1, 5)
local FINAL = { completed = true, failed = true, cancelled = true }

local function is_over()
  if ARGV[1] ~= "" then
    return redis.call("ZSCORE", release, ARGV[1])
  end
  local status = unless_foreign(false, redis.call, "HGET", run, "s")
  return not status or FINAL[status]
end

if not is_over() then
  return 0
end
for i = 6, #KEYS do
  remove_element(timers, KEYS[i])
end
if ARGV[3] == "1" then
  redis.call("UNLINK", map)
  if not unless_foreign(nil, redis.call, "SREM", maps, ARGV[2]) and ARGV[1] == "" then
    redis.call("UNLINK", maps) -- a run that has ended is not rebuilt, which would remove it
  end
  redis.call("ZREM", release, ARGV[2])
end
return 1
