--[[
resume -- the one place where a parked token becomes a ready one. Whoever comes first ends the wait:
signal, callback, decision, child, timer (21 A7). The caller has checked the run's status and epoch.

The field w<node> holds what a parked token waits for (sdk/waits.ts); afterwards what wait_over makes
of that.
]]
--- @include "scope"
--- @include "token"
--- @include "waiters"
--- @include "held"
--- @include "unit"
--- @include "wait_over"

-- t: run_id (unit), epoch, node, scope, attempt, is_paused. `signals` may be nil for what waits for no signal.
-- `value` is JSON text, nil when a delay is over. False: the token is not parked any more.
local function resume(timers, run, signals, t, queue, ir, value)
  local have = redis.call("HMGET", run, "n" .. t.node, "d" .. t.node, "w" .. t.node)
  if not have[1] or (is_element(run) and not element_run(element_place(run))) then
    return false
  end
  local state, attempt, scope, arrivals = parse_record(have[1])
  if state ~= "w" or attempt ~= tonumber(t.attempt) or scope ~= t.scope or not scope_is_current(run, scope) then
    return false
  end
  local name = string.match(have[3] or "", "^([^\31]+)\31")
  journal(told_of(t.run_id) .. ',"e":"node.resumed","n":' .. t.node .. ',"s":"' .. scope
    .. '","a":' .. t.attempt .. (value and ',"v":' .. value or "") .. "}")
  redis.call("HSET", run, "n" .. t.node, "a" .. t.attempt .. "|" .. scope .. "|" .. arrivals,
    "w" .. t.node, wait_over(have[3], t.attempt, scope))
  if have[2] then
    redis.call("HDEL", run, "d" .. t.node)
    redis.call("ZREM", timers, have[2])
  end
  if name and signals then
    leave_line(signals, t.node, home_of(t.run_id))
  end
  dispatch(t.is_paused, run, queue, pack_entry(t.run_id, t.epoch, t.node, scope, t.attempt, ir,
    value and "v" or "r", arrivals, value or ""))
  return true
end
