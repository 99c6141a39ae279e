--[[
take_slot -- reserve the next start under a rate limit, or push all starts of its key away.

A generic cell rate algorithm without a burst: starts of one key are an interval apart, so no window
of the limit's time, wherever it begins, has more than the limit. Whoever comes gets the next free
start, so the order of starts is the order of calls.

A server's clock that was ahead and is set back leaves starts of the time ahead. So the key says when it
was written: what was written later than now is forgotten, and the key begins anew.

Atomic because the next free start is read and moved in one step: two workers never get the same.

KEYS
  1  slot      string  gv:rate:{<sha256>}       the next free start, us of Redis time, and as
                      its fraction the second when this was written; reads and writes
  2  cool      string  gv:rate:{<sha256>}:cool  there while nothing of the key may start; reads and writes
ARGV
  1  interval  us between two starts, a whole number
  2  cool_ms   0 reserves a start; more: reserves nothing, no start within that time from now
  3  reserved  1: the caller has a start that is now; it needs another one only while the key cools
RETURNS integer
  ms until the reserved start, 0 now or the one that the caller has; of a push, until the next free
  start
REPEAT    reserves another start: one that is not used is lost, and the limit holds all the same
COST      O(1); the key expires when its next start is free at once
]]
local interval, cool_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
if ARGV[3] == "1" and redis.call("EXISTS", KEYS[2]) == 0 then
  return 0
end
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local second = math.floor(now / 1000000)
local next_free, written = string.match(redis.call("GET", KEYS[1]) or "0", "^(%d+)%.?(%d*)$")
if (tonumber(written) or 0) > second + 1 then
  next_free = "0"
  redis.call("DEL", KEYS[2])
end
local start = math.max(tonumber(next_free), now + cool_ms * 1000)
local free = cool_ms > 0 and start or start + interval
redis.call("SET", KEYS[1], string.format("%.0f.%010.0f", free, second), "PX", math.ceil((free - now) / 1000) + 1)
if cool_ms > 0 and redis.call("PTTL", KEYS[2]) < cool_ms then
  redis.call("SET", KEYS[2], "", "PX", cool_ms)
end
return math.ceil((start - now) / 1000)
