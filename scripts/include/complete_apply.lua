--[[
complete_apply -- write a plan. Only commands that cannot fail by type or size are used here.
]]
local HSET_MAX = 1000

local function apply_plan(item, plan)
  local run = item.run
  for i = 1, #plan.events do
    journal(plan.events[i])
  end
  local ends = plan.ends
  if ends == "finishing" then
    journal('{"r":"' .. item.run_id .. '","e":"run.finishing"}')
  elseif ends then
    journal('{"r":"' .. item.run_id .. '","e":"run.' .. ends .. '"'
      .. (plan.error and ',"err":' .. plan.error or "") .. "}")
  end
  if plan.delta ~= 0 then
    set(plan, "c", plan.counter)
  end
  local fields = plan.fields
  for from = 1, #fields, HSET_MAX do
    redis.call("HSET", run, unpack(fields, from, math.min(from + HSET_MAX - 1, #fields)))
  end
  if plan.cancels then
    redis.call("ZREM", k.timers, plan.cancels)
  end
  for i = 1, #plan.timers do
    local timer = plan.timers[i]
    redis.call("ZADD", k.timers, timer[1], timer[2])
    redis.call("HSET", run, "d" .. timer[3], timer[2])
  end
  for i = 1, #plan.entries do
    redis.call("XADD", plan.entries[i][1], "*", "t", plan.entries[i][2])
  end
  if ends == "finishing" then
    redis.call("HSET", run, "s", ends)
    redis.call("ZADD", k.timers, now_ms + FINISH_GRACE_MS,
      timer_member("finish", item.run_id, item.epoch, "", "", "", item.own_queue))
    return 1
  elseif ends then
    end_run(k, run, item.run_id, item.epoch, ends, item.has_timeout)
  end
  return 0
end
