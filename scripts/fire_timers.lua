--[[
fire_timers -- turn what is due into ready tokens, and end runs that are over time.

Atomic because removing the timer and emitting its token must not be torn apart, and because two
supervisors may fire the same timer: the first one that finds it wins.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      reads and writes
  4  halted    zset    gv:{p}:halted      runs that ended badly; writes
  5  release   zset    gv:{p}:release     runs whose keys may go; writes
  6+ runs      hash    gv:{p}:run:<id>    of the members, and around elements of maps up to their
                                          run; reads and writes; of a paused one the list `held`,
                                          appends
  .. queues    stream  gv:{p}:q:*         of the members; appends. What executes nothing goes to the one
                                          that every worker reads (include/queue_of_all.lua)
  .. signals   hash    gv:{p}:run:<id>:signals  of waits that expire; reads and writes
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  member_count
  4+ members   each is: member, run key, queue key (0 none), signals key (0 none)
     member    kind|run|epoch|node|scope|attempt|queue; kinds: emit (retry, next round),
               resume (a parked delay is over: its time in the queue begins anew), expire (a wait
               is over time), late (too long in its queue), dead (a node is over time and its worker
               silent), run (run timeout), finish (no worker has evaluated the output of the run or
               element), map (a map is over its time)
RETURNS array
  1  0, or -100 EPOCH
  2+ per member: 0 fired, 1 not due or gone, 2 removed without effect (the token moved on), 3 failed:
     due again later, or, if it had been told, its run is suspect
EMITS     node.activated node.resumed run.failed map.gather run.suspect
REPEAT    a member that is gone changes nothing; one of kind finish queues nothing while what it has
          queued before is there
COST      O(members)
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "waiters"
--- @include "held"
--- @include "unit"
--- @include "resume"
--- @include "late"
--- @include "run_end"
--- @include "map_gather"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5] }
local nonce, member_count = ARGV[2], tonumber(ARGV[3])
local FINISH_GRACE_MS, FAILED_MS = 10000, 30000

if not open_partition(k.meta, ARGV[1]) then
  return { -100 }
end

local FINAL = { completed = true, failed = true, cancelled = true }
-- Whoever puts them back, from the journal, arms their timers anew.
local FROZEN = { asleep = true, suspect = true }

local function put_off(member, ms)
  redis.call("ZADD", k.timers, now_ms + ms, member)
  return true
end

-- Attempt, scope and arrivals of a timer's token, if its record still says `state`.
local function standing(record, state, run, t)
  if not record then
    return nil
  end
  local is, attempt, scope, arrivals = parse_record(record)
  local stands = is == state and attempt == tonumber(t.attempt) and scope == t.scope
    and scope_is_current(run, scope)
  if stands then
    return attempt, scope, arrivals
  end
end

-- A token that waited for its retry or its round becomes ready: same record, state active.
local function emit_again(run, t, queue, ir)
  local have = redis.call("HMGET", run, "n" .. t.node, "qt")
  local attempt, scope, arrivals = standing(have[1], "r", run, t)
  if not attempt then
    return 2
  end
  journal(told_of(t.run_id) .. ',"e":"node.activated","n":' .. t.node .. ',"s":"' .. scope
    .. '","a":' .. t.attempt .. "}")
  redis.call("HSET", run, "n" .. t.node, "a" .. t.attempt .. "|" .. scope .. "|" .. arrivals)
  redis.call("HDEL", run, "d" .. t.node)
  dispatch(t.is_paused, run, queue, pack_entry(t.run_id, t.epoch, t.node, scope, t.attempt, ir,
    "", arrivals, ""))
  local ms = not t.is_paused and late_ms(have[2], t.node)
  if ms then
    arm_late(k.timers, run, ms, late_member(t.run_id, t.epoch, t.node, scope, attempt, queue), t.node)
  end
  return 0
end

-- An active token is over time: whoever reads this entry fails it. Its own entry stays where it is and
-- is dropped by the record: what is settled first counts.
local function time_out(run, t, queue, ir, member)
  local attempt, scope, arrivals = standing(redis.call("HGET", run, "n" .. t.node), "a", run, t)
  if not attempt then
    return 2
  end
  if t.is_paused then
    -- The queue counts anew: nobody begins a token of a paused run.
    local ms = t.kind == "late" and late_ms(redis.call("HGET", run, "qt"), t.node)
    return 2, ms and put_off(member, ms)
  end
  redis.call("XADD", queue, "*", "t", pack_entry(t.run_id, t.epoch, t.node, scope, t.attempt, ir, "v",
    arrivals, '{"kind":"timeout","of":"' .. (t.kind == "late" and "queue" or "node") .. '"}'))
  return 0
end

-- Status, epoch, IR, queue timeouts of a unit. An element is as its run is, unless it is void or waits
-- to be finished.
local function look(run)
  local have = redis.call("HMGET", run, "s", "e", "ir", "qt")
  if have[1] and is_element(run) then
    local status, epoch = element_run(element_place(run))
    have[2] = epoch
    have[1] = status and (have[1] == "finishing" and not FINAL[status] and have[1] or status)
  end
  return have
end

-- A map over its time fails; what is in flight of it is void.
local function expire_map(run, t, queue, ir)
  local attempt, scope, arrivals = standing(redis.call("HGET", run, "n" .. t.node), "m", run, t)
  if not attempt then
    return 2
  end
  local m = { map = map_of(run, scope, t.node), map_unit = map_of(t.run_id, scope, t.node), parent = run,
    parent_unit = t.run_id, node = t.node, scope = scope, attempt = attempt, arrivals = arrivals,
    epoch = t.epoch, ir = ir, queue = queue, is_paused = t.is_paused }
  local failure = '{"value":{"error":{"code":"TIMEOUT","message":"the map ran longer than its timeout_ms"}}}'
  tell_gather(m, failure)
  gather_map(k, m, failure)
  return 0
end

-- Whether an entry is still to be read, or somebody has it: where nobody reads, one is enough.
local function is_there(queue, id)
  if not id or #redis.call("XRANGE", queue, id, id) == 0 then
    return false
  end
  local group = redis.call("XINFO", "GROUPS", queue)[1]
  local name, last = group and group[2], group and group[8]
  local is_read = group and #redis.call("XRANGE", queue, id, last, "COUNT", 1) > 0
  return not is_read or #redis.call("XPENDING", queue, name, id, id, 1) > 0
end

-- What a timer that is due leads to, and whether it stays where it is.
local function act(member, run, queue, signals)
  local t = {}
  t.kind, t.run_id, t.epoch, t.node, t.scope, t.attempt =
    string.match(member, "^(%a+)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|")
  local have = look(run)
  if not have[1] or have[2] ~= t.epoch or FINAL[have[1]] or FROZEN[have[1]] then
    return 2
  end
  if t.kind == "run" then
    local err = '{"error":{"code":"RUN_TIMED_OUT","message":"the run took longer than settings.timeout_ms"}}'
    journal('{"r":"' .. t.run_id .. '","e":"run.failed","err":' .. err .. "}")
    end_run(k, run, t.run_id, t.epoch, "failed", false, err)
    return 0
  elseif t.kind == "finish" then
    if have[1] ~= "finishing" then
      return 2
    end
    queue = common_queue(queue) -- a member that was armed before may name the node's
    if not is_there(queue, redis.call("HGET", run, "fe")) then
      redis.call("HSET", run, "fe", redis.call("XADD", queue, "*", "t",
        pack_entry(t.run_id, t.epoch, 0, "", 1, have[3], "z", "", "")))
    end
    return 0, put_off(member, FINISH_GRACE_MS)
  elseif have[1] ~= "running" and have[1] ~= "paused" then
    return 2
  end
  t.is_paused = have[1] == "paused"
  if t.kind == "emit" then
    return emit_again(run, t, queue, have[3])
  elseif t.kind == "map" then
    return expire_map(run, t, queue, have[3])
  end
  if t.kind == "late" or t.kind == "dead" then
    return time_out(run, t, queue, have[3], member)
  end
  local value = t.kind == "expire" and '{"kind":"timeout"}' or nil
  if not resume(k.timers, run, signals, t, queue, have[3], value) then
    return 2
  end
  local ms = t.kind == "resume" and not t.is_paused and late_ms(have[4], t.node)
  if ms then
    arm_late(k.timers, run, ms, late_member(t.run_id, t.epoch, t.node, t.scope, t.attempt, queue), t.node)
  end
  return 0
end

-- It goes when what it leads to is written: whatever fails before that leaves it to the next call.
local function fire(member, run, queue, signals)
  local due = redis.call("ZSCORE", k.timers, member)
  if not due or tonumber(due) > now_ms then
    return 1
  end
  local code, stays = act(member, run, queue, signals)
  if not stays then
    redis.call("ZREM", k.timers, member)
  end
  return code
end

-- One that fails holds up no other: its run is repaired, or, if nothing was written, it is put off.
local function fire_alone(member, run, queue, signals)
  local told = record_count
  local is_done, reply = pcall(fire, member, run, queue, signals)
  if is_done then
    return reply
  elseif record_count > told then
    suspect(told_runs(told), reply)
  else
    redis.log(redis.LOG_WARNING, "gavotte: timer " .. member .. " not fired: " .. tostring(reply))
    put_off(member, FAILED_MS)
  end
  return 3
end

local replies = { 0 }
for i = 1, member_count do
  local at = 4 + (i - 1) * 4
  local key = function(place) return KEYS[tonumber(ARGV[at + place])] end
  replies[i + 1] = fire_alone(ARGV[at], key(1), key(2), key(3))
end
close_partition(k.ev, k.meta, nonce)
return replies
