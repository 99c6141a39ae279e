--[[
cancel_orphans -- cancel children that nobody waits for any more.

Atomic because "nobody waits" and the cancel must be one step: a child that is waited for is not to
be touched. A child is an orphan when its parent has ended, when the round or the map element that
started it is void, or when its node went on without it (the wait was over time).

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      removes the child's timeout
  4  halted    zset    gv:{p}:halted      writes
  5  release   zset    gv:{p}:release     writes
  6+ children  hash    gv:{p}:run:<id>    one per child; reads and writes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3+ children  per child: id, over (1: its parent is known to have ended)
RETURNS integer
  n >= 0 children cancelled, -100 EPOCH
EMITS     run.cancelled
REPEAT    a child that has ended stays as it is
COST      O(children)
]]
--- @include "partition"
--- @include "run_end"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5] }
local nonce = ARGV[2]
local ORPHAN = '{"error":{"code":"CANCELLED","message":"nobody waits for the run any more: its parent'
  .. ' has ended, or went on without it"}}'

if not open_partition(k.meta, ARGV[1]) then
  return -100
end
local ENDED = { completed = true, failed = true, cancelled = true, finishing = true }

local function is_orphan(child, child_id, up, is_over)
  local t = parent_of(child, child_id, up)
  local status = redis.call("HGET", t.run, "s")
  if not status or status == "suspect" then
    return is_over and not status
  end
  return ENDED[status] or not waits_for_child(t)
end

local count = 0
for i = 3, #ARGV, 2 do
  local child_id, child = ARGV[i], KEYS[5 + (i - 1) / 2]
  local have = redis.call("HMGET", child, "s", "e", "up")
  local is_open = have[1] == "running" or have[1] == "paused" or have[1] == "finishing"
  if is_open and have[3] and is_orphan(child, child_id, have[3], ARGV[i + 1] == "1") then
    journal('{"r":"' .. child_id .. '","e":"run.cancelled","err":' .. ORPHAN .. "}")
    end_run(k, child, child_id, have[2], "cancelled", true, ORPHAN)
    count = count + 1
  end
end
close_partition(k.ev, k.meta, nonce)
return count
