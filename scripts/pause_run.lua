--[[
pause_run -- nothing of the run is dispatched any more; what is under way may still end.

Atomic because after the answer no token of the run may reach a worker: the status sends what
becomes ready to the run's `held` list, `halted` makes workers look at tokens that are queued.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  halted    zset    gv:{p}:halted      writes
  4  paused    zset    gv:{p}:paused      runs that may have held entries; writes
  5  run       hash    gv:{p}:run:<id>    reads and writes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  run_id    run
  4  cause     r its own pause, w its workflow's, e errors, p its parent's
  5  note      members for the journal: ,"by":…,"why":… or ""
RETURNS array
  {0, status} paused, {1, status} paused for that cause before,
  {-1} RUN_GONE, {-2, status} its status does not allow it, {-100} EPOCH
EMITS     run.paused
REPEAT    {1}
COST      O(1)
]]
--- @include "partition"
local ev, meta, halted, paused, run = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local nonce, run_id, cause, note = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if not open_partition(meta, ARGV[1]) then
  return { -100 }
end
local have = redis.call("HMGET", run, "s", "ps")
local status, causes = have[1], have[2] or ""
if not status then
  return { -1 }
elseif status ~= "running" and status ~= "paused" then
  return { -2, status }
elseif string.find(causes, cause, 1, true) then
  return { 1, status }
end
causes = causes .. cause
journal('{"r":"' .. run_id .. '","e":"run.paused","ps":"' .. causes .. '"' .. note .. "}")
redis.call("HSET", run, "s", "paused", "ps", causes)
redis.call("ZADD", paused, now_ms, run_id)
redis.call("ZADD", halted, now_ms, run_id)
close_partition(ev, meta, nonce)
return { 0, "paused" }
