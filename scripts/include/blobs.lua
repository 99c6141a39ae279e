--[[
blobs -- large values that come with what refers to them (sdk/blobs.ts): both are there, or neither.
]]

-- ARGV from `at` on: SHA-256, JSON text each.
local function keep_blobs(key, at)
  for i = at, #ARGV, 2 do
    redis.call("HSET", key, ARGV[i], ARGV[i + 1])
  end
end

-- Bytes of the texts.
local function blob_bytes(at)
  local bytes = 0
  for i = at + 1, #ARGV, 2 do
    bytes = bytes + #ARGV[i]
  end
  return bytes
end
