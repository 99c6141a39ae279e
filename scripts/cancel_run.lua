--[[
cancel_run -- end a run on somebody's word, or because it cannot be repaired.

Atomic because after the answer no node of the run may start: the status refuses what comes later,
`halted` tells workers which queued tokens to drop.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      removes the run's timeout
  4  halted    zset    gv:{p}:halted      writes
  5  release   zset    gv:{p}:release     writes
  6  tombs     zset    gv:{p}:tombs       writes, when the run is not here
  7  run       hash    gv:{p}:run:<id>    reads and writes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  run_id    run
  4  err       {"error":{"code":"CANCELLED","message":…}}
  5  tomb_ms   how long a late start is refused when the run is not here
  6  status    "cancelled" or "failed"
RETURNS integer
  0 ended, 1 it was cancelled before, 2 it had completed, 3 it had failed, -6 BUSY (it is falling
  asleep: it has to be woken first; or it is to be repaired, which would bring it back to life.
  Where that has failed, and is not being tried, the run ends, with what failed in the error. Where its
  key is of another type that repair is asked for here),
  -1 RUN_GONE (a tombstone keeps it from starting: cancel its row), -100 EPOCH
EMITS     run.cancelled run.failed run.suspect node.resumed (of the parent)
REPEAT    1
COST      O(1)
]]
--- @include "partition"
--- @include "foreign"
--- @include "token"
--- @include "run_end"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5] }
local tombs, run = KEYS[6], KEYS[7]
local nonce, run_id, err, tomb_ms, status =
  ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]

if not open_partition(k.meta, ARGV[1]) then
  return -100
end
local have = unless_foreign(nil, redis.call, "HMGET", run, "s", "e", "rp", "rpe")
if not have then
  journal('{"r":"' .. run_id .. '","e":"run.suspect"}')
  close_partition(k.ev, k.meta, nonce)
  return -6
end
if not have[1] then
  redis.call("ZADD", tombs, now_ms + tomb_ms, run_id)
  return -1
end
local answer = ({ cancelled = 1, completed = 2, failed = 3 })[have[1]]
if answer then
  return answer
end
local is_frozen = have[1] == "asleep" or have[1] == "suspect"
if is_frozen and (tonumber(have[3]) or 0) <= 0 then
  return -6
elseif is_frozen then
  err = string.sub(err, 1, -3) .. ',"details":' .. have[4] .. "}}"
end
journal('{"r":"' .. run_id .. '","e":"run.' .. status .. '","err":' .. err .. "}")
end_run(k, run, run_id, have[2], status, true, err)
close_partition(k.ev, k.meta, nonce)
return 0
