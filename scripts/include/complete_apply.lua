--[[
complete_apply -- write the plan. Only commands that cannot fail by type or size are used here.
]]
local HSET_MAX = 1000

-- `keeps`: the one token that it emits has no entry of its own, the caller goes on with it.
local function apply_plan(keeps)
  local run, ends = it.run, it.ends
  for i = 1, event_count do
    journal(events[i])
  end
  if it.element and ends then
    if ends ~= "finishing" then
      tell_element_end()
      return apply_element_end()
    end
    journal(it.told .. 'element.finishing"}')
  elseif ends then
    set("s", ends)
    journal(it.told .. "run." .. ends .. '"' .. (it.error and ',"err":' .. it.error or "") .. "}")
  end
  for from = 1, field_count, HSET_MAX do
    redis.call("HSET", run, unpack(fields, from, math.min(from + HSET_MAX - 1, field_count)))
  end
  if it.cancels then
    redis.call("ZREM", k.timers, it.cancels)
  end
  if it.gone then
    apply_losers()
  end
  if it.signals then
    apply_signals()
  end
  if it.gathered then
    apply_gathered()
  end
  for i = 1, timer_count do
    arm_timer(k.timers, run, timed[i], dues[i], members[i])
  end
  for i = 1, keeps and 0 or entry_count do
    dispatch(it.is_paused, run, queues[i], entries[i])
  end
  for i = 1, it.is_paused and 0 or late_count, 3 do
    arm_late(k.timers, run, late[i + 1], late[i + 2], late[i])
  end
  if ends == "finishing" then
    if it.element then
      redis.call("HSET", run, "s", ends)
    end
    redis.call("ZADD", k.timers, now_ms + FINISH_GRACE_MS,
      timer_member("finish", it.run_id, it.epoch, "", "", "", common_queue(it.own_queue)))
    return 1
  elseif ends then
    leave_run(k, run, it.run_id, it.epoch, ends, string.find(it.flags, "t", 1, true) ~= nil,
      it.error, it.up)
  end
  return 0
end
