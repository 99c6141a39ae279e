--[[
map_gather -- the elements' phase of a map is over: its token becomes active again, for a worker that
collects the results, or fails the node if more elements failed than are tolerated.

What is still in flight of the map is void from then on: the token's record no longer says `m`. If
there may be any, the map goes on the list of what a supervisor removes.
]]
--- @include "queue_of_all"

-- m: parent (key), parent_unit, node, scope, attempt, arrivals; failure is JSON text, or nil.
local function tell_gather(m, failure)
  journal(told_of(m.parent_unit) .. ',"e":"map.gather","n":' .. m.node .. ',"s":"' .. m.scope
    .. '","a":' .. m.attempt .. (failure and ',"fail":' .. failure or "") .. "}")
end

-- More of m: map (key), map_unit, epoch, ir (the parent's), queue (key of the map node's queue),
-- is_paused.
local function gather_map(k, m, failure)
  redis.call("HSET", m.parent, "n" .. m.node, "g" .. m.attempt .. "|" .. m.scope .. "|" .. m.arrivals)
  local timer = redis.call("HGET", m.parent, "d" .. m.node)
  if timer then
    redis.call("ZREM", k.timers, timer)
    redis.call("HDEL", m.parent, "d" .. m.node)
  end
  if failure then
    redis.call("HSET", m.map, "s", "failed")
    redis.call("ZADD", k.release, now_ms, m.map_unit)
  end
  dispatch(m.is_paused, m.parent, common_queue(m.queue), pack_entry(m.parent_unit, m.epoch, m.node, m.scope, m.attempt,
    m.ir, "g", m.arrivals, failure and "=" .. failure or ""))
end
