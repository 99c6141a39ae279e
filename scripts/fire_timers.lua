--[[
fire_timers -- turn what is due into ready tokens, and end runs that are over time.

Atomic because removing the timer and emitting its token must not be torn apart, and because two
supervisors may fire the same timer: the one whose ZREM finds it wins.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      reads and writes
  4  halted    zset    gv:{p}:halted      runs that ended badly; writes
  5  release   zset    gv:{p}:release     runs whose keys may go; writes
  6+ runs      hash    gv:{p}:run:<id>    of the members; reads and writes
  .. queues    stream  gv:{p}:q:*         of the members; appends
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  members   number of members; each is: member, run key, queue key (0 none)
     member    kind|run|epoch|node|scope|attempt|queue; kinds: emit (retry, next round),
               resume (a parked delay is over), run (run timeout), finish (no worker has
               evaluated the run's output)
RETURNS array
  1  0, or -100 EPOCH
  2+ per member: 0 fired, 1 not due or gone, 2 removed without effect (the token moved on)
EMITS     node.activated node.resumed run.failed
REPEAT    a member that is gone changes nothing
COST      O(members)
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "run_end"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5] }
local nonce, member_count = ARGV[2], tonumber(ARGV[3])
local FINISH_GRACE_MS = 30000

if not open_partition(k.meta, ARGV[1]) then
  return { -100 }
end

local FINAL = { completed = true, failed = true, cancelled = true }

-- A token that waited becomes ready: same record, state active, and its entry.
local function release_token(run, t, queue, ir)
  local record = redis.call("HGET", run, "n" .. t.node)
  if not record then
    return 2
  end
  local state, attempt, scope, arrivals = parse_record(record)
  local waits = t.kind == "emit" and "r" or "w"
  if state ~= waits or attempt ~= tonumber(t.attempt) or scope ~= t.scope or not scope_is_current(run, scope) then
    return 2
  end
  local event = t.kind == "emit" and "node.activated" or "node.resumed"
  journal('{"r":"' .. t.run_id .. '","e":"' .. event .. '","n":' .. t.node .. ',"s":"' .. scope
    .. '","a":' .. t.attempt .. "}")
  redis.call("HSET", run, "n" .. t.node, "a" .. t.attempt .. "|" .. scope .. "|" .. arrivals)
  redis.call("HDEL", run, "d" .. t.node)
  redis.call("XADD", queue, "*", "t", pack_entry(t.run_id, t.epoch, t.node, scope, t.attempt, ir,
    t.kind == "emit" and "" or "r", arrivals, ""))
  return 0
end

local function fire(member, run, queue)
  local due = redis.call("ZSCORE", k.timers, member)
  if not due or tonumber(due) > now_ms then
    return 1
  end
  redis.call("ZREM", k.timers, member)
  local t = {}
  t.kind, t.run_id, t.epoch, t.node, t.scope, t.attempt =
    string.match(member, "^(%a+)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|")
  local have = redis.call("HMGET", run, "s", "e", "ir")
  if not have[1] or have[2] ~= t.epoch or FINAL[have[1]] then
    return 2
  end
  if t.kind == "run" then
    journal('{"r":"' .. t.run_id .. '","e":"run.failed","err":{"error":{"code":"RUN_TIMED_OUT",'
      .. '"message":"the run took longer than settings.timeout_ms"}}}')
    end_run(k, run, t.run_id, t.epoch, "failed", false)
    return 0
  elseif t.kind == "finish" then
    if have[1] ~= "finishing" then
      return 2
    end
    redis.call("ZADD", k.timers, now_ms + FINISH_GRACE_MS, member)
    redis.call("XADD", queue, "*", "t", pack_entry(t.run_id, t.epoch, 0, "", 1, have[3], "z", "", ""))
    return 0
  elseif have[1] ~= "running" then
    return 2
  end
  return release_token(run, t, queue, have[3])
end

local replies = { 0 }
for i = 1, member_count do
  local at = 4 + (i - 1) * 3
  replies[i + 1] = fire(ARGV[at], KEYS[tonumber(ARGV[at + 1])], KEYS[tonumber(ARGV[at + 2])])
end
close_partition(k.ev, k.meta, nonce)
return replies
