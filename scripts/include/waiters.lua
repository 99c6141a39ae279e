--[[
waiters -- who waits for which signal: field w:<name> of a run's signals hash, oldest first.

waiter  <node>|<home>|<scope>|<attempt>|<queue key>, one per line; home "" is the run itself, else the
        map element that the token lives in
]]

-- The list without the waiter of this node and home.
local function without_waiter(list, node, home)
  local own, kept = node .. "|" .. home .. "|", {}
  for waiter in string.gmatch(list, "[^\n]+") do
    if string.sub(waiter, 1, #own) ~= own then
      kept[#kept + 1] = waiter
    end
  end
  return table.concat(kept, "\n")
end

-- Takes the waiter of this node and home off the list of `name`.
local function drop_waiter(signals, name, node, home)
  local field = "w:" .. name
  local list = redis.call("HGET", signals, field)
  if list then
    local rest = without_waiter(list, node, home)
    if rest == "" then
      redis.call("HDEL", signals, field)
    elseif rest ~= list then
      redis.call("HSET", signals, field, rest)
    end
  end
end

-- The map element that a unit id `<run>` or `<run>!<home>` names, "" for the run itself.
local function home_of(unit)
  return string.match(unit, "!(.*)$") or ""
end
