--[[
foreign -- reading keys in whose place something else may stand: put there by hand, or from a copy.

Each command on such a key fails (WRONGTYPE), and with it the whole call. Nothing of its run is there
until a supervisor has rebuilt it (sdk/redis/foreign-keys.ts); the other runs of a call go on.
]]

-- What `work` returns; `absent` where a key that it reads is of another type. Not for what has
-- written by the time it fails: that stays, and is the guard's to repair.
local function unless_foreign(absent, work, ...)
  local is_read, reply = pcall(work, ...)
  if is_read then
    return reply
  elseif string.find(tostring(reply), "WRONGTYPE", 1, true) then
    return absent
  end
  error(reply, 0)
end
