--[[
renew_leases -- tell Redis that this consumer is still at work on these entries.

Atomic because ownership is looked at and renewed in one step: a bare XCLAIM would take an entry
back from the worker that has taken it over.

KEYS
  1  queue     stream  gv:{p}:q:*   pending list; reads and writes
ARGV
  1  consumer  this worker
  2+ ids       entry ids, at most 1,000
RETURNS array
  the ids that this consumer no longer owns: their handlers are to be aborted
REPEAT    harmless
COST      O(ids)
]]
local queue = KEYS[1]
local consumer = ARGV[1]
local lost = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local pending = redis.call("XPENDING", queue, "workers", id, id, 1, consumer)
  if #pending == 0 then
    lost[#lost + 1] = id
  else
    redis.call("XCLAIM", queue, "workers", consumer, 0, id, "JUSTID")
  end
end
return lost
