--[[
take_slot -- reserve the next start under a rate limit, begin one, or push all starts of its key away.

A generic cell rate algorithm: starts of one key are reserved an interval apart, whoever comes gets the
next free one, so the order of starts is the order of calls. What waited for its start comes when a timer
and a worker have time, and what is late by different times would begin in a bunch. So each start is
counted anew when it begins, an interval after the one before: at most `slack_us` nearer.

A server's clock that was ahead and is set back leaves starts of the time ahead. So each key says when it
was written: what was written later than now is forgotten, and the key begins anew.

Atomic because a free start is read and moved in one step: two workers never get the same.

KEYS
  1  slot      string  gv:rate:{<sha256>}       the next free start, us of Redis time, and as
                      its fraction the second when this was written; reads and writes
  2  cool      string  gv:rate:{<sha256>}:cool  there while nothing of the key may start; reads and writes
  3  begun     string  gv:rate:{<sha256>}:begun an interval after what began last, us; the next free
                      start of those that came too late, us; the second when written; reads and writes
ARGV
  1  interval  us between two starts, a whole number
  2  cool_ms   0 reserves a start; more: reserves nothing, no start within that time from now
  3  reserved  1: the caller's start is now: it begins, or needs another one
  4  hold_ms   with 1: how long the caller waits by itself, rather than for another start
  5  slack_us  with 1: how much too early one may begin
RETURNS integer
  ms until the reserved start, 0 now, of one that begins: it has begun; less than 0: so many ms (without
  the sign) until the caller may ask again to begin; of a push, ms until the next free start
REPEAT    reserves or begins another start: one that is not used is lost, and the limit holds all the same
COST      O(1); the keys expire when their next start is free at once
]]
local interval, cool_ms, reserved = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == "1"
local hold_ms, slack_us = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local second = math.floor(now / 1000000)
local next_free, written = string.match(redis.call("GET", KEYS[1]) or "0", "^(%d+)%.?(%d*)$")
if (tonumber(written) or 0) > second + 1 then
  next_free = "0"
  redis.call("DEL", KEYS[2])
end
local begun, late, begun_at = string.match(redis.call("GET", KEYS[3]) or "0 0 0", "^(%d+) (%d+) (%d+)$")
begun, late = tonumber(begun), tonumber(late)
if tonumber(begun_at) > second + 1 then
  begun, late = 0, 0
end
if reserved and redis.call("EXISTS", KEYS[2]) == 0 then
  local start = begun - slack_us
  if start > now and start - now <= hold_ms * 1000 then
    return -math.ceil((start - now) / 1000)
  elseif start > now then
    start = math.max(start, late)
    late = start + interval
  else
    start = now
    begun = math.max(now, begun) + interval
  end
  local free = math.max(begun, late)
  local value = string.format("%.0f %.0f %.0f", begun, late, second)
  redis.call("SET", KEYS[3], value, "PX", math.ceil((free - now) / 1000) + 1)
  return math.ceil((start - now) / 1000)
end
local start = math.max(tonumber(next_free), begun - slack_us, now + cool_ms * 1000)
local free = cool_ms > 0 and start or start + interval
redis.call("SET", KEYS[1], string.format("%.0f.%010.0f", free, second), "PX", math.ceil((free - now) / 1000) + 1)
if cool_ms > 0 and redis.call("PTTL", KEYS[2]) < cool_ms then
  redis.call("SET", KEYS[2], "", "PX", cool_ms)
end
return math.ceil((start - now) / 1000)
