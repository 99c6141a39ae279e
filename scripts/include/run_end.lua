--[[
run_end -- a run reaches a terminal status: same writes whichever script gets there first.

`release` tells the archiver what to remove once the journal is committed; `halted` tells workers
which queued tokens not to execute (kept for a minute: older entries are checked one by one). A
child's end wakes the token that waits for it; its output or error stays in the hash for it.
]]
--- @include "parent"
local HALTED_KEEP_MS = 60000

-- Workers look at the records of a run's tokens before they execute them.
local function halt(k, run_id)
  redis.call("ZADD", k.halted, now_ms, run_id)
  redis.call("ZREMRANGEBYSCORE", k.halted, "-inf", "(" .. (now_ms - HALTED_KEEP_MS))
end

-- What follows once the status stands in the run. Who ends many runs gives a list `k.ended` and adds
-- what is in it to `release` in the end. `result`: JSON of the output or of {"error":…}, nil
-- where it follows from the nodes' records. `up`: the run's field, nil if it was not read.
local function leave_run(k, run, run_id, epoch, status, has_timeout, result, up)
  if k.ended then
    k.now = k.now or string.format("%.0f", now_ms)
    k.ended[#k.ended + 1], k.ended[#k.ended + 2] = k.now, run_id
  else
    redis.call("ZADD", k.release, now_ms, run_id)
  end
  if has_timeout then
    redis.call("ZREM", k.timers, timer_member("run", run_id, epoch, "", "", "", ""))
  end
  if status ~= "completed" then
    halt(k, run_id)
  end
  if up == nil then
    up = redis.call("HGET", run, "up")
  end
  if up then
    if result then
      redis.call("HSET", run, "res", result)
    end
    resume_parent(k.timers, run, run_id, up, status)
  end
end

local function end_run(k, run, run_id, epoch, status, has_timeout, result)
  redis.call("HSET", run, "s", status)
  leave_run(k, run, run_id, epoch, status, has_timeout, result)
end
