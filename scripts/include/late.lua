--[[
late -- tokens that may not stand in their queue for long (queue_timeout_ms): a timer beside the token.

limits  ";<node>=<ms>" for each node that has one; "" or nil where none has
member  a timer of kind `late`; its queue is one that every worker reads, so that whoever lives can
        fail the node. The worker that begins the token takes the timer off.
]]
--- @include "queue_of_all"

local function late_ms(limits, node)
  return limits and tonumber(string.match(limits .. ";", ";" .. node .. "=(%d+);"))
end

local function late_member(unit, epoch, node, scope, attempt, queue)
  return timer_member("late", unit, epoch, node, scope, attempt, common_queue(queue))
end

local function arm_late(timers, run, ms, member, node)
  arm_timer(timers, run, node, now_ms + ms, member)
end
