--[[
hand_back -- a worker that stops, or cannot go on with them, gives up entries it holds.

Atomic because only entries that it still owns may be touched. An entry is made idle for as long
as a lease, so that the next look for stale entries takes it over at once.

KEYS
  1  queue     stream  gv:{p}:q:*   pending list; reads and writes
ARGV
  1  consumer  this worker
  2  lease_ms  idle time to set; 0: they are held on
  3  charged   0: as if it had not been delivered; 1: the delivery counts; 2: once more
  4+ ids       entry ids, at most 1,000
RETURNS integer
  number of entries handed back
REPEAT    charged 1: harmless; else takes off, or adds, one delivery more
COST      O(ids)
]]
local queue = KEYS[1]
local consumer, lease_ms, charged = ARGV[1], ARGV[2], tonumber(ARGV[3])
local count = 0
for i = 4, #ARGV do
  local pending = redis.call("XPENDING", queue, "workers", ARGV[i], ARGV[i], 1, consumer)
  if #pending > 0 then
    local deliveries = math.max(tonumber(pending[1][4]) - 1 + charged, 0)
    redis.call("XCLAIM", queue, "workers", consumer, 0, ARGV[i], "IDLE", lease_ms,
      "RETRYCOUNT", deliveries, "JUSTID")
    count = count + 1
  end
end
return count
