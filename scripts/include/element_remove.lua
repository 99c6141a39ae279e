--[[
element_remove -- takes an element of a map away, with its timers.

Only for one that is void: of one that ends by itself the maps inside it are void from then on, which
complete_element takes care of.
]]
local function remove_element(timers, element)
  if redis.call("HGET", element, "x") then
    local fields = redis.call("HKEYS", element)
    for i = 1, #fields do
      if string.find(fields[i], "^d%d+$") then
        redis.call("ZREM", timers, redis.call("HGET", element, fields[i]))
      end
    end
  end
  redis.call("UNLINK", element)
end
