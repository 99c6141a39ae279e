--[[
tombstones -- those that are over go with the next that come, so many at a time: after a burst and two
quiet minutes the first script to come would otherwise remove all of it. More than a call adds, so none
are left behind for ever.
]]
local TOMBS_MAX = 1000

local function remove_tombstones(tombs, before_ms)
  local over = redis.call("ZRANGEBYSCORE", tombs, "-inf", before_ms, "LIMIT", 0, TOMBS_MAX)
  if #over > 0 then
    redis.call("ZREM", tombs, unpack(over))
  end
end
