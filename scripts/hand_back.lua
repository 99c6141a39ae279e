--[[
hand_back -- a worker that stops gives up entries it holds, without charging a delivery.

Atomic because only entries that it still owns may be touched. An entry is made idle for as long
as a lease, so that the next look for stale entries takes it over at once.

KEYS
  1  queue     stream  gv:{p}:q:*   pending list; reads and writes
ARGV
  1  consumer  this worker
  2  lease_ms  idle time to set
  3+ ids       entry ids, at most 1,000
RETURNS integer
  number of entries handed back
REPEAT    harmless
COST      O(ids)
]]
local queue = KEYS[1]
local consumer, lease_ms = ARGV[1], ARGV[2]
local count = 0
for i = 3, #ARGV do
  local pending = redis.call("XPENDING", queue, "workers", ARGV[i], ARGV[i], 1, consumer)
  if #pending > 0 then
    local deliveries = math.max(tonumber(pending[1][4]) - 1, 0)
    redis.call("XCLAIM", queue, "workers", consumer, 0, ARGV[i], "IDLE", lease_ms,
      "RETRYCOUNT", deliveries, "JUSTID")
    count = count + 1
  end
end
return count
