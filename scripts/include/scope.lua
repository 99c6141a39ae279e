--[[
scope -- loop rounds: "12:1/15:3" is round 3 of the loop latched by node 15 inside round 1 of 12.

Only one round of a loop is alive at a time. The run keeps it in the field l<latch>; whatever
carries another round is void, without anything being removed: ending a round is O(1).
]]

-- The first `depth` elements of a scope.
local function scope_prefix(scope, depth)
  if depth == 0 then
    return ""
  end
  local from = 0
  for _ = 1, depth do
    from = string.find(scope, "/", from + 1, true)
    if not from then
      return scope
    end
  end
  return string.sub(scope, 1, from - 1)
end

local function scope_join(prefix, suffix)
  if suffix == "" then
    return prefix
  elseif prefix == "" then
    return suffix
  end
  return prefix .. "/" .. suffix
end

-- Calls visit(latch, scope up to and including its element) for the elements from `first` on.
local function scope_each(scope, first, visit)
  local at, depth = 1, 0
  while at <= #scope do
    local stop = string.find(scope, "/", at, true) or (#scope + 1)
    depth = depth + 1
    if depth >= first then
      visit(string.match(scope, "^%d+", at), string.sub(scope, 1, stop - 1))
    end
    at = stop + 1
  end
end

-- Whether every enclosing round of this scope is still the one that is alive.
local function scope_is_current(run, scope)
  if scope == "" then
    return true
  end
  local fields, rounds = {}, {}
  scope_each(scope, 1, function(latch, round)
    fields[#fields + 1] = "l" .. latch
    rounds[#rounds + 1] = round
  end)
  local current = redis.call("HMGET", run, unpack(fields))
  for i = 1, #rounds do
    if current[i] ~= rounds[i] then
      return false
    end
  end
  return true
end
