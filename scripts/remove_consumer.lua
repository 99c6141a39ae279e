--[[
remove_consumer -- forget a consumer that holds nothing.

Atomic because XGROUP DELCONSUMER drops pending entries for ever: nothing may become pending
between the look and the removal.

KEYS
  1  queue     stream  gv:{p}:q:*, gv:submissions   consumer group; reads and writes
ARGV
  1  consumer  name
  2  group     of the stream
RETURNS integer
  1 not there any more, -20 STILL_PENDING
REPEAT    1
COST      O(1), however many consumers there are: after many deaths they are removed one by one
]]
local queue = KEYS[1]
local consumer, group = ARGV[1], ARGV[2]
local pending = redis.call("XPENDING", queue, group, "-", "+", 1, consumer)
if #pending > 0 then
  return -20
end
redis.call("XGROUP", "DELCONSUMER", queue, group, consumer)
return 1
