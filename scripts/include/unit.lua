--[[
unit -- what a token belongs to: a run, or one element of a map inside it.

A unit is named "<run>", or "<run>!<home>". A home is the way down to an element: rounds of loops,
then "<map node>#<index>", from the outside in: "7:2/12#5" is element 5 of map 12 that was activated
in round 2 of loop 7, "12#5/3#0" element 0 of map 3 inside element 5 of map 12. Without the last
"#<index>" it names the map itself. The key of either is the run's key with that name as its id, so
what follows works on names and on keys alike. All of them share the run's slot.

A map may be expanded more than once, and its elements have the same names each time. Their epochs
differ: "1.2:3" is of the third attempt of a map two maps deep. So what belongs to an element of an
expansion before (a result, a timer, a failure) is refused as what belongs to a run before its rebuild.
]]

--- @include "scope"
--- @include "token"

-- How the journal names a unit: the beginning of a transition.
local function told_of(unit)
  local run_id, home = string.match(unit, "^([^!]*)!(.*)$")
  return home and '{"r":"' .. run_id .. '","m":"' .. home .. '"' or '{"r":"' .. unit .. '"'
end

-- The map of node `node` in `scope` of a unit.
local function map_of(unit, scope, node)
  local path = scope == "" and node or scope .. "/" .. node
  return unit .. (string.find(unit, "!", 1, true) and "/" or "!") .. path
end

-- An element's place: its map, its index, and the unit, scope and node of the map's token.
local function element_place(element)
  local map, index = string.match(element, "^(.*)#(%d+)$")
  local parent, path = string.match(map, "^(.*#%d+)/(.*)$")
  if not parent then
    parent, path = string.match(map, "^([^!]*)!(.*)$")
  end
  local scope, node = string.match(path, "^(.*)/(%d+)$")
  return { map = map, index = tonumber(index), parent = parent, scope = scope or "", node = node or path }
end

-- The epoch of what a map expands to: of the map's unit, and which attempt of the map it is.
local function element_epoch(map, epoch, attempt)
  if attempt == 1 then
    return epoch
  end
  local _, depth = string.gsub(map, "#", "")
  return epoch .. "." .. depth + 1 .. ":" .. attempt
end

-- The status of an element's run and the element's epoch; nil if it is void: a map around it is past
-- its elements, or in a round that is over. Fills in the place's attempt and arrivals of the map's
-- token, and the epoch of its unit.
local function element_run(place)
  local at = place
  while true do
    local have = redis.call("HMGET", at.parent, "s", "e", "n" .. at.node)
    if not have[1] or not have[3] then
      return nil
    end
    local state, attempt, scope, arrivals = parse_record(have[3])
    if state ~= "m" or scope ~= at.scope or not scope_is_current(at.parent, scope) then
      return nil
    end
    at.attempt, at.arrivals, at.parent_epoch = attempt, arrivals, have[2]
    if not string.find(at.parent, "!", 1, true) then
      return have[1], element_epoch(place.map, place.parent_epoch, place.attempt)
    elseif have[1] ~= "running" then
      return nil
    end
    at = element_place(at.parent)
  end
end

-- Whether a unit is an element.
local function is_element(unit)
  return string.find(unit, "!", 1, true) ~= nil
end
