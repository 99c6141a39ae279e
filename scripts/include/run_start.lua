--[[
run_start -- the hot state of a run and the entries of its first tokens; of runs and children alike.

What it begins with is put together by who asks for it (sdk/redis/run-start.ts) and comes in a flat
list: timeout_ms (0 none), queue timeouts ("" none, see late), fields: count of names and values, then
these; entries: count, then queue (place in KEYS), entry, node, scope each. Only the time is added.
]]
local START_FIELDS_MAX = 1000
local started_at

-- r: key, id, epoch, is_paused. Starts it with what stands in `list` from `at` on.
local function start_run(timers, r, list, at)
  local timeout_ms, limits, key = tonumber(list[at]), list[at + 1], r.key
  local first, last = at + 3, at + 2 + list[at + 2]
  started_at = started_at or string.format("%.0f", now_ms)
  redis.call("HSET", key, "t0", started_at, unpack(list, first, math.min(last, at + 2 + START_FIELDS_MAX)))
  for from = first + START_FIELDS_MAX, last, START_FIELDS_MAX do
    redis.call("HSET", key, unpack(list, from, math.min(last, from + START_FIELDS_MAX - 1)))
  end
  for from = last + 2, last + 4 * list[last + 1] - 2, 4 do
    local queue, node = KEYS[list[from]], list[from + 2]
    dispatch(r.is_paused, key, queue, list[from + 1])
    local ms = limits ~= "" and not r.is_paused and late_ms(limits, node)
    if ms then
      arm_late(timers, key, ms, late_member(r.id, r.epoch, node, list[from + 3], 1, queue), node)
    end
  end
  if timeout_ms > 0 then
    redis.call("ZADD", timers, now_ms + timeout_ms, timer_member("run", r.id, r.epoch, "", "", "", ""))
  end
end

-- Where what begins at `at` ends.
local function after_start(list, at)
  local last = at + 2 + list[at + 2]
  return last + 2 + 4 * list[last + 1]
end
