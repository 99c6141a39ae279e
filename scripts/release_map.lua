--[[
release_map -- remove a page of a void map's elements and, with the last page, the map.

Atomic because a map may be expanded under the same name meanwhile, when one around it is settled and
tried again by hand. That takes the name off the list: what is removed then would be its elements.

KEYS
  1  release   zset    gv:{p}:release          names what is void; reads and writes
  2  timers    zset    gv:{p}:timers           removes
  3  maps      set     gv:{p}:run:<id>:maps    the run's maps that have keys; writes
  4  map       hash    gv:{p}:run:<map>        removes
  5+ elements  hash    gv:{p}:run:<map>#<i>    removes
ARGV
  1  listed    the map on the list: this one, or one around it
  2  map       name of this one
  3  last      1: no elements are left after this page
RETURNS integer
  1 removed, 0 no longer on the list: the map lives again
REPEAT    0, or removes nothing
COST      O(elements), at most 500
]]
--- @include "element_remove"
local release, timers, maps, map = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if not redis.call("ZSCORE", release, ARGV[1]) then
  return 0
end

for i = 5, #KEYS do
  remove_element(timers, KEYS[i])
end
if ARGV[3] == "1" then
  redis.call("UNLINK", map)
  redis.call("SREM", maps, ARGV[2])
  redis.call("ZREM", release, ARGV[2])
end
return 1
