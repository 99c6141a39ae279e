--[[
fields -- reads any number of fields of a hash: one call takes only as many as Lua's stack holds.
]]
local FIELDS_MAX = 1000

-- The values of these fields in their order; false where there is none.
local function read_fields(key, names)
  local values = {}
  for from = 1, #names, FIELDS_MAX do
    local to = math.min(from + FIELDS_MAX - 1, #names)
    local part = redis.call("HMGET", key, unpack(names, from, to))
    for i = 1, to - from + 1 do
      values[from + i - 1] = part[i]
    end
  end
  return values
end
