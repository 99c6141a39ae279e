--[[
hold_tokens -- tokens that were delivered while their run is paused go to its `held` list.

Atomic because the entry leaves its queue in the call that keeps it: between the two a crash would
lose the token. Kept is only what was still pending, so a token held by two is kept once.

KEYS
  1  meta      hash    gv:{p}:meta        epoch; reads
  2+ runs      hash    gv:{p}:run:<id>    reads; their `held` lists, appends
  .. queues    stream  gv:{p}:q:*         removes
ARGV
  1  epoch     partition epoch
  2  token_count
  3+ tokens    each is: run key, queue key, entry_id, packed (the token as an entry: of a chain it is
               a later one than the entry's own)
RETURNS array
  1  0, or -100 EPOCH
  2+ per token: 0 held, 1 its run is not paused: look again, 2 the entry is gone
REPEAT    2
COST      O(tokens)
]]
--- @include "partition"
--- @include "foreign"
--- @include "held"
local meta, token_count = KEYS[1], tonumber(ARGV[2])

if not open_partition(meta, ARGV[1]) then
  return { -100 }
end
-- Whether the token was this worker's, and is held now; not if something else stands in place of the list.
local function hold_pending(run, queue, id, packed)
  local was_pending = #redis.call("XPENDING", queue, "workers", id, id, 1) > 0
  if was_pending then
    hold(run, queue, packed)
    redis.call("XDEL", queue, id)
    redis.call("XACK", queue, "workers", id)
  end
  return was_pending
end

local replies = { 0 }
for i = 1, token_count do
  local at = 4 * i - 1
  local run, queue, id = KEYS[tonumber(ARGV[at])], KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2]
  local root = string.match(run, "^([^!]*)!") or run
  if unless_foreign(false, redis.call, "HGET", root, "s") ~= "paused" then
    replies[i + 1] = 1
  else
    local is_held = unless_foreign(false, hold_pending, run, queue, id, ARGV[at + 3])
    replies[i + 1] = is_held and 0 or 2
  end
end
return replies
