--[[
tell_circuit -- what became of an execution that a circuit let begin; a word about it by hand.

Atomic because failures are counted, compared and acted upon in one step: the failure that is one too
many opens the circuit, once.

KEYS
  1  circuit  hash  gv:circuit:{<sha256>}  reads and writes; see ask_circuit
               f  while closed: ms of Redis time of the last failures, oldest first, by commas
               w  for so long they are kept, ms: the longest time that any of its nodes counts over
ARGV
  1  what      failure | success | none (it did not begin after all) | renew (it goes on)
               | open, close: by hand
  2  who       the token; by hand, nobody: ""
  3  failures  so many open the circuit
  4  within_ms when they are within this time
  5  open_ms   how long it stays open; by hand, 0 is without an end
  6  lease_ms  how long a probe keeps its place from now
  7  keep_ms   how long a half-open circuit is remembered while nobody asks
RETURNS integer
  1 it was opened, or again, by this; 2 it was closed by this; 0 neither
REPEAT    a failure told twice counts twice; all else changes nothing more
COST      O(failures kept), 1000 at most; of all but a failure O(1)
]]
local FAILURES_MAX = 1000
local circuit, what, who = KEYS[1], ARGV[1], ARGV[2]
local failures, within_ms = tonumber(ARGV[3]), tonumber(ARGV[4])
local open_ms, lease_ms, keep_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function opened(hand)
  redis.call("DEL", circuit)
  redis.call("HSET", circuit, "until", string.format("%.0f", now + open_ms), "at", string.format("%.0f", now))
  if hand and open_ms == 0 then
    redis.call("HSET", circuit, "hand", "1")
  else
    redis.call("PEXPIRE", circuit, open_ms + keep_ms)
  end
  return 1
end

if what == "open" then
  return opened(true)
end
if what == "close" then
  return 2 * redis.call("DEL", circuit)
end
local had = redis.call("HMGET", circuit, "until", "hand", "probe", "f", "w", "at")
if had[2] then
  return 0
end
if tonumber(had[6] or 0) > now + 1000 then
  redis.call("DEL", circuit)
  had = {}
end
if had[1] then
  -- Of what began before it opened, nothing more is learned.
  if had[3] ~= who then
    return 0
  end
  if what == "failure" then
    return opened(false)
  end
  if what == "success" then
    redis.call("DEL", circuit)
    return 2
  end
  if what == "renew" then
    redis.call("HSET", circuit, "lease", string.format("%.0f", now + lease_ms), "at", string.format("%.0f", now))
    redis.call("PEXPIRE", circuit, lease_ms + keep_ms)
  else
    redis.call("HDEL", circuit, "probe", "lease")
  end
  return 0
end
if what ~= "failure" then
  return 0
end
local window_ms = math.max(within_ms, tonumber(had[5] or 0))
local recent, counted = {}, 1
for at in string.gmatch(had[4] or "", "%d+") do
  if tonumber(at) > now - window_ms then
    recent[#recent + 1] = at
  end
  if tonumber(at) > now - within_ms then
    counted = counted + 1
  end
end
if counted >= failures then
  return opened(false)
end
if #recent == FAILURES_MAX then
  table.remove(recent, 1)
end
recent[#recent + 1] = string.format("%.0f", now)
redis.call("HSET", circuit, "f", table.concat(recent, ","),
  "w", string.format("%.0f", window_ms), "at", string.format("%.0f", now))
redis.call("PEXPIRE", circuit, window_ms)
return 0
