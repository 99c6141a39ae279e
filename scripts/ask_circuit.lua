--[[
ask_circuit -- may a token of a node with a circuit breaker begin?

Closed: it may. Open: not before its time. After that, half-open: one token may, as the probe, and
the others wait for what becomes of it. They are told to come back one after the other, spread over
a hundredth of the open time each, so that neither the end of that time nor a target that works
again meets all of them at once.

Atomic because the probe's place is looked at and taken in one step: two tokens never probe at the
same time, wherever they run.

KEYS
  1  circuit  hash  gv:circuit:{<sha256>}  reads and writes; absent: closed, without a failure
               until  ms of Redis time when the open time ends; absent: closed
               hand   there while it was opened by hand, without an end
               probe, lease   who probes, ms until when it keeps the place without renewing it
               line   tokens told to wait since it opened or probed last
               at     ms when it was written last: a circuit written later than now is of a time when
                      the server's clock was ahead, and is forgotten, unless it was opened by hand
ARGV
  1  who       the token that asks: its probe survives another worker taking it over
  2  open_ms   of the asking node
  3  lease_ms  how long a probe keeps its place
  4  keep_ms   how long a half-open circuit is remembered while nobody asks
RETURNS integer
  0 it may begin, -1 it may as the probe; more: ms after which it is to ask again
REPEAT    a probe that asks again keeps its place; another one waits a little longer
COST      O(1)
]]
local circuit, who = KEYS[1], ARGV[1]
local open_ms, lease_ms, keep_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local had = redis.call("HMGET", circuit, "until", "hand", "probe", "lease", "at")
if not had[1] then
  return 0
end
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if not had[2] and tonumber(had[5] or 0) > now + 1000 then
  redis.call("DEL", circuit)
  return 0
end
local left = had[2] and open_ms or tonumber(had[1]) - now
local spacing, first = open_ms / 100, 1
if left <= 0 then
  redis.call("PEXPIRE", circuit, lease_ms + keep_ms)
  if had[3] == who or not had[3] or tonumber(had[4]) <= now then
    redis.call("HSET", circuit, "probe", who, "lease", string.format("%.0f", now + lease_ms),
      "at", string.format("%.0f", now))
    redis.call("HDEL", circuit, "line")
    return -1
  end
  left, first = 0, 0
end
local place = redis.call("HINCRBY", circuit, "line", 1) - first
return math.max(1, math.ceil(left + spacing * (place % 100)))
