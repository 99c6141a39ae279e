--[[
remove_consumer -- forget a consumer that holds nothing.

Atomic because XGROUP DELCONSUMER drops pending entries for ever: nothing may become pending
between the look and the removal.

KEYS
  1  queue     stream  gv:{p}:q:*   consumer group; reads and writes
ARGV
  1  consumer  name
RETURNS integer
  1 removed, 0 not there, -20 STILL_PENDING
REPEAT    0
COST      O(1)
]]
local queue = KEYS[1]
local consumer = ARGV[1]
local pending = redis.call("XPENDING", queue, "workers", "-", "+", 1, consumer)
if #pending > 0 then
  return -20
end
local consumers = redis.call("XINFO", "CONSUMERS", queue, "workers")
for i = 1, #consumers do
  if consumers[i][2] == consumer then
    redis.call("XGROUP", "DELCONSUMER", queue, "workers", consumer)
    return 1
  end
end
return 0
