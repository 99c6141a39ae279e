--[[
complete_wait -- parks a token until somebody resumes it (op W); takes a signal that came early.

Part of complete_plan: collects, writes nothing.
]]

-- The oldest kept signal of this name, taken off; nil if there is none.
local function take_kept(signals, name)
  local list = redis.call("HGET", signals, "q:" .. name)
  if not list then
    return nil
  end
  local seq, rest = string.match(list, "^(%d+),?(.*)$")
  it.signals.unset = rest == "" and { "p" .. seq, "q:" .. name } or { "p" .. seq }
  it.signals.set = { "k", tonumber(redis.call("HGET", signals, "k")) - 1 }
  if rest ~= "" then
    it.signals.set[3], it.signals.set[4] = "q:" .. name, rest
  end
  return redis.call("HGET", signals, "p" .. seq)
end

-- rest: timeout_ms (0 none), KEYS index of the signals hash (0 none), what field w<node> begins with.
local function plan_wait(at, attempt, arrivals, more)
  local node, scope, info = ARGV[at], ARGV[at + 1], ARGV[at + 4]
  local timeout_ms, key, facts = string.match(ARGV[at + 6], "^(%d+)\31(%d+)\31(.*)$")
  local name, due = string.match(facts, "^[^\31]*"), now_ms + tonumber(timeout_ms)
  local waits = tonumber(timeout_ms) > 0
  it.cancels = redis.call("HGET", it.run, "d" .. node)
  told("node.parked", node, scope, more .. (waits and ',"due":' .. string.format("%.0f", due) or "")
    .. ',"w":' .. info)
  local kept
  if key ~= "0" then
    it.signals = { key = KEYS[tonumber(key)], node = node, home = home_of(it.run_id) }
    kept = take_kept(it.signals.key, name)
  end
  if kept then
    told("node.resumed", node, scope, more .. ',"v":' .. kept)
    set("n" .. node, "a" .. attempt .. "|" .. scope .. "|" .. arrivals)
    set("w" .. node, "=" .. attempt .. "|" .. scope)
    entry_count = entry_count + 1
    queues[entry_count] = it.own_queue
    entries[entry_count] = pack_entry(it.run_id, it.epoch, node, scope, attempt, it.ir, "v", arrivals, kept)
    return
  end
  if it.signals then
    it.signals.name, it.signals.waiter = name, scope .. "|" .. attempt .. "|" .. it.own_queue
    if it.element then
      set("x", 1) -- whoever ends the element takes it off the line
    end
  end
  set("n" .. node, "w" .. attempt .. "|" .. scope .. "|" .. arrivals)
  set("w" .. node, facts .. it.own_queue .. "\31" .. info)
  if waits then
    arm(due, timer_member("expire", it.run_id, it.epoch, node, scope, attempt, it.own_queue), node)
  end
end

-- Whether this attempt was parked before and resumed: whoever parks it now is late.
local function was_resumed(at)
  return redis.call("HGET", it.run, "w" .. ARGV[at]) == "=" .. ARGV[at + 2] .. "|" .. ARGV[at + 1]
end

-- The part of the plan that concerns the run's signals.
local function apply_signals()
  local s = it.signals
  if s.waiter then
    enter_line(s.key, s.name, s.node, s.home, s.waiter)
    return
  end
  redis.call("HDEL", s.key, unpack(s.unset))
  redis.call("HSET", s.key, unpack(s.set))
  leave_line(s.key, s.node, s.home) -- a void round's place
end
