--[[
token -- the positive record of a token (field n<node>) and its stream entry.

record  <state><attempt>|<scope>|<rest>
        a active    r waits for its retry or for its round's delay    w parked
        k a skipped join whose dead region a worker still has to spread
        m a map whose elements run    g a map whose results are to be collected
        c completed, rest = output    f failed, rest = error value    s skipped
        x cancelled: its join has fired without it
entry   run, epoch, node, scope, attempt, ir, kind, arrivals, payload, separated by 0x1F
]]
local function parse_record(record)
  local bar = string.find(record, "|", 2, true)
  local bar2 = string.find(record, "|", bar + 1, true)
  return string.sub(record, 1, 1), tonumber(string.sub(record, 2, bar - 1)),
    string.sub(record, bar + 1, bar2 - 1), string.sub(record, bar2 + 1)
end

local function pack_entry(run_id, epoch, node, scope, attempt, ir, kind, arrivals, payload)
  return run_id .. "\31" .. epoch .. "\31" .. node .. "\31" .. scope .. "\31" .. attempt .. "\31" .. ir
    .. "\31" .. kind .. "\31" .. arrivals .. "\31" .. payload
end

local function timer_member(kind, run_id, epoch, node, scope, attempt, queue)
  return kind .. "|" .. run_id .. "|" .. epoch .. "|" .. node .. "|" .. scope .. "|" .. attempt .. "|" .. queue
end

-- Arms the timer of a node. That of an earlier activation may have died with its round: nobody else
-- would take it off.
local function arm_timer(timers, run, node, due, member)
  local before = redis.call("HGET", run, "d" .. node)
  if before and before ~= member then
    redis.call("ZREM", timers, before)
  end
  redis.call("ZADD", timers, due, member)
  redis.call("HSET", run, "d" .. node, member)
end
