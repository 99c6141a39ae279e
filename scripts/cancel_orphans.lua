--[[
cancel_orphans -- cancel children that nobody waits for any more.

Atomic because "nobody waits" and the cancel must be one step: a child that is waited for is not to
be touched. A child is an orphan when its parent has ended, when the round or the map element that
started it is void, or when its node went on without it (the wait was over time). Of a child that is
asleep only that is told: it is to be woken first. One that cannot be read, or whose parent cannot,
since something else stands in place of a key, is left for a later call: a supervisor rebuilds it.

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
  3+ children  per child: id, over (1: its parent is known to have ended), up (of one that is
               asleep the token that it belongs to, as field `up`; else "")
RETURNS array
  1  n >= 0 children cancelled, or -100 EPOCH
  2+ places, from 1, of the orphans that are asleep
EMITS     run.cancelled node.resumed (of the parent)
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
  return { -100 }
end
local ENDED = { completed = true, failed = true, cancelled = true, finishing = true }

local function is_nobodys(child, child_id, up, is_over)
  local t = parent_of(child, child_id, up)
  local status = redis.call("HGET", t.run, "s")
  if not status or status == "suspect" or status == "asleep" then
    return is_over and not status
  end
  return ENDED[status] or not waits_for_child(t, child_id)
end

local function is_orphan(...)
  return unless_foreign(false, is_nobodys, ...)
end

local reply = { 0 }
for i = 3, #ARGV, 3 do
  local child_id, child, slept_up = ARGV[i], KEYS[5 + i / 3], ARGV[i + 2]
  local have = unless_foreign({}, redis.call, "HMGET", child, "s", "e", "up")
  local is_open = have[1] == "running" or have[1] == "paused" or have[1] == "finishing"
  if slept_up ~= "" and (not have[1] or have[1] == "asleep") then
    if is_orphan(child, child_id, slept_up, ARGV[i + 1] == "1") then
      reply[#reply + 1] = i / 3
    end
  elseif is_open and have[3] and is_orphan(child, child_id, have[3], ARGV[i + 1] == "1") then
    journal('{"r":"' .. child_id .. '","e":"run.cancelled","err":' .. ORPHAN .. "}")
    end_run(k, child, child_id, have[2], "cancelled", true, ORPHAN)
    reply[1] = reply[1] + 1
  end
end
close_partition(k.ev, k.meta, nonce)
return reply
