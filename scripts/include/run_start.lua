--[[
run_start -- the hot state of a run and the entries of its first tokens; of runs and children alike.
]]

-- r: key, id, epoch, ir, input, meta, timeouts (timeout_ms, then queue timeouts, see late), is_paused,
-- fields (more of them, flat), sent (one {node, suffix, queue key} per entry node).
local function start_run(timers, r)
  local payload = #r.input <= PAYLOAD_INLINE_MAX and "=" .. r.input or ""
  local fields, timeout_ms = r.fields, tonumber(string.match(r.timeouts, "^%d+"))
  local limits = string.match(r.timeouts, ";.*")
  local function set(field, value)
    fields[#fields + 1], fields[#fields + 2] = field, value
  end
  set("s", r.is_paused and "paused" or "running")
  set("e", r.epoch)
  set("c", #r.sent)
  set("ir", r.ir)
  set("in", r.input)
  set("m", r.meta)
  set("t0", string.format("%.0f", now_ms))
  if limits then
    set("qt", limits)
  end
  for i = 1, #r.sent do
    local node, suffix = r.sent[i][1], r.sent[i][2]
    scope_each(suffix, 1, function(latch, round) set("l" .. latch, round) end)
    set("n" .. node, "a1|" .. suffix .. "|")
  end
  for from = 1, #fields, 1000 do
    redis.call("HSET", r.key, unpack(fields, from, math.min(from + 999, #fields)))
  end
  for i = 1, #r.sent do
    local node, suffix, queue = r.sent[i][1], r.sent[i][2], r.sent[i][3]
    dispatch(r.is_paused, r.key, queue, pack_entry(r.id, r.epoch, node, suffix, 1, r.ir, "", "", payload))
    local ms = not r.is_paused and late_ms(limits, node)
    if ms then
      arm_late(timers, r.key, ms, late_member(r.id, r.epoch, node, suffix, 1, queue), node)
    end
  end
  if timeout_ms > 0 then
    redis.call("ZADD", timers, now_ms + timeout_ms, timer_member("run", r.id, r.epoch, "", "", "", ""))
  end
end
