--[[
element_remove -- takes an element of a map away, with its timers and its places among who waits for signals.

Only for one that is void: of one that ends by itself the maps inside it are void from then on, which
complete_element takes care of.
]]
--- @include "foreign"
--- @include "waiters"

local function remove_element(timers, element)
  if unless_foreign(false, redis.call, "HGET", element, "x") then
    local fields = redis.call("HKEYS", element)
    for i = 1, #fields do
      local kind, node = string.match(fields[i], "^([dw])(%d+)$")
      if kind == "d" then
        redis.call("ZREM", timers, redis.call("HGET", element, fields[i]))
      elseif kind == "w" then
        unless_foreign(nil, leave_line, signals_of(element), node, home_of(element))
      end
    end
  end
  redis.call("UNLINK", element)
end
