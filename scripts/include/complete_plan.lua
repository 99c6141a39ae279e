--[[
complete_plan -- what one item would change: reads and decisions only, no write.

A plan holds field/value pairs for one HSET, entries to XADD, timers, the counter's delta and the
transitions for the journal, in the order in which they happen.
]]
local EFFECT_FIELDS = 8

local function read_item(at)
  local item = {
    run = KEYS[tonumber(ARGV[at])], run_id = ARGV[at + 1], epoch = ARGV[at + 2], ir = ARGV[at + 3],
    has_output = string.find(ARGV[at + 4], "o", 1, true) ~= nil,
    has_timeout = string.find(ARGV[at + 4], "t", 1, true) ~= nil,
    queue_base = tonumber(ARGV[at + 5]), own_queue = KEYS[tonumber(ARGV[at + 6])],
    ack = tonumber(ARGV[at + 7]), entry_id = ARGV[at + 8], results = {},
  }
  local count = tonumber(ARGV[at + 9])
  at = at + 10
  for i = 1, count do
    local effects = tonumber(ARGV[at + 9])
    item.results[i] = {
      node = ARGV[at], scope = ARGV[at + 1], attempt = tonumber(ARGV[at + 2]), op = ARGV[at + 3],
      value = ARGV[at + 4], edges = ARGV[at + 5], extra = ARGV[at + 6],
      delay_ms = tonumber(ARGV[at + 7]), closure = ARGV[at + 8], effects = effects, at = at + 10,
    }
    at = at + 10 + effects * EFFECT_FIELDS
  end
  return item, at
end

local function set(plan, field, value)
  local n = #plan.fields
  plan.fields[n + 1], plan.fields[n + 2] = field, value
end

local function told(item, event, node, scope, more)
  return '{"r":"' .. item.run_id .. '","e":"' .. event .. '","n":' .. node .. ',"s":"' .. scope .. '"'
    .. more .. "}"
end

local function activate(item, plan, e, scope, arrivals, payload, delay_ms)
  local full = scope_join(scope, e.suffix)
  if e.suffix ~= "" then
    scope_each(full, e.depth + 1, function(latch, round) set(plan, "l" .. latch, round) end)
  end
  local queue = KEYS[item.queue_base + e.queue]
  if delay_ms > 0 then
    set(plan, "n" .. e.node, "r1|" .. full .. "|" .. arrivals)
    local member = timer_member("emit", item.run_id, item.epoch, e.node, full, 1, queue)
    plan.timers[#plan.timers + 1] = { now_ms + delay_ms, member, e.node }
  else
    set(plan, "n" .. e.node, "a1|" .. full .. "|" .. arrivals)
    plan.entries[#plan.entries + 1] = { queue,
      pack_entry(item.run_id, item.epoch, e.node, full, 1, item.ir, "", arrivals, payload) }
  end
end

-- The effects of skipping `join`, or nil when the worker did not send them.
local function skip_effects(closure, join)
  local _, from = string.find(closure, "|" .. join .. "=", 1, true)
  if not from then
    return nil
  end
  local text = string.sub(closure, from + 1, string.find(closure, "|", from + 1, true) - 1)
  local list = {}
  for t, node, depth, suffix, queue, position, need, arity in
    string.gmatch(text, "(%a),(%d+),(%d+),([^,]*),(%d+),(%d+),(%d+),(%d+)") do
    list[#list + 1] = { type = t, node = node, depth = tonumber(depth), suffix = suffix,
      queue = tonumber(queue), position = tonumber(position), need = tonumber(need), arity = tonumber(arity) }
  end
  return list
end

-- Arrivals at one join: "<scope>|<live>|<decided>|<failed>|<one char per in-edge>".
local function read_join(item, plan, e, scope)
  local field = "j" .. e.node
  local join = plan.joins[field]
  if join and join.scope == scope then
    return join
  end
  join = { scope = scope, live = 0, decided = 0, failed = 0, arrivals = string.rep(".", e.arity) }
  local stored = redis.call("HGET", item.run, field)
  if stored then
    local s, live, decided, failed, arrivals = string.match(stored, "^([^|]*)|(%-?%d+)|(%d+)|(%d+)|(.*)$")
    if s == scope then
      join.live, join.decided, join.failed = tonumber(live), tonumber(decided), tonumber(failed)
      join.arrivals = arrivals
    end
  end
  plan.joins[field] = join
  return join
end

local function arrive(item, plan, result, e, value, todo)
  local scope = scope_prefix(result.scope, e.depth)
  local counted = e.depth == 0
  local join = read_join(item, plan, e, scope)
  plan.work = plan.work + 1
  if value == "L" and counted then
    plan.delta = plan.delta + 1
  end
  if join.live < 0 then -- decided before: consumed, changes nothing else
    if value == "L" and counted then
      plan.delta = plan.delta - 1
    end
    return
  end
  if string.sub(join.arrivals, e.position + 1, e.position + 1) ~= "." then
    error("in-edge " .. e.position .. " of node " .. e.node .. " arrived twice")
  end
  join.arrivals = string.sub(join.arrivals, 1, e.position) .. value
    .. string.sub(join.arrivals, e.position + 2)
  join.decided = join.decided + 1
  if value == "L" then
    join.live = join.live + 1
  elseif value == "X" then
    join.failed = join.failed + 1
  end
  local complete = join.decided == e.arity
  local fires = (e.need > 0 and join.live == e.need)
    or (e.need == 0 and complete and join.live > 0 and join.failed == 0)
  if fires then
    if counted then
      plan.delta = plan.delta - (join.live - 1)
    end
    plan.events[#plan.events + 1] = told(item, "join.decided", e.node, scope,
      ',"v":"fired","in":"' .. join.arrivals .. '"')
    activate(item, plan, e, scope, join.arrivals, "", 0)
    join.live = -1
  elseif complete then
    if counted then
      plan.delta = plan.delta - join.live
    end
    local sent = join.failed > 0 and "X" or "D"
    local list = plan.work < WORK_MAX and skip_effects(result.closure, e.node) or nil
    plan.events[#plan.events + 1] = told(item, "join.decided", e.node, scope, ',"v":"'
      .. (sent == "X" and "failed" or "skipped") .. '","in":"' .. join.arrivals .. '"' .. (list and "" or ',"k":1'))
    join.live = -1
    if list then
      for i = 1, #list do
        todo[#todo + 1] = { list[i], list[i].type == "V" and sent or list[i].type }
      end
    else
      -- Too much for this call: a token of its own goes on, and the run cannot end before it.
      if counted then
        plan.delta = plan.delta + 1
      end
      set(plan, "n" .. e.node, "k1|" .. scope .. "|" .. sent)
      plan.entries[#plan.entries + 1] = { KEYS[item.queue_base + e.queue],
        pack_entry(item.run_id, item.epoch, e.node, scope, 1, item.ir, "k", "", sent) }
    end
  end
end

local function plan_effects(item, plan, result, payload)
  local todo, at = {}, result.at
  for _ = 1, result.effects do
    local e = { type = ARGV[at], node = ARGV[at + 1], depth = tonumber(ARGV[at + 2]), suffix = ARGV[at + 3],
      queue = tonumber(ARGV[at + 4]), position = tonumber(ARGV[at + 5]), need = tonumber(ARGV[at + 6]),
      arity = tonumber(ARGV[at + 7]) }
    todo[#todo + 1] = { e, e.type }
    at = at + EFFECT_FIELDS
  end
  local i = 1
  while todo[i] do
    local e, t = todo[i][1], todo[i][2]
    if t == "T" or t == "F" then
      if e.depth == 0 then
        plan.delta = plan.delta + 1
      end
      if t == "T" then
        activate(item, plan, e, scope_prefix(result.scope, e.depth), "", payload, 0)
      end
    elseif t == "G" then
      activate(item, plan, e, scope_prefix(result.scope, e.depth), "", payload, result.delay_ms)
      plan.events[#plan.events + 1] = told(item, "loop.round", e.node,
        scope_join(scope_prefix(result.scope, e.depth), e.suffix), ',"due":' .. string.format("%.0f", now_ms + result.delay_ms))
    elseif t == "E" then
      local round = scope_prefix(result.scope, e.depth)
      set(plan, "l" .. e.node, "e" .. round)
      if e.depth == 1 then
        plan.delta = plan.delta - 1
      end
    else
      arrive(item, plan, result, e, t, todo)
    end
    i = i + 1
  end
end

local EVENT = { C = "node.completed", F = "node.failed", U = "node.failed", X = "node.failed",
  R = "node.retrying", P = "node.parked", S = "node.skipped" }
local STATE = { C = "c", F = "f", U = "f", X = "f", R = "r", P = "w", S = "s" }

local function plan_result(item, plan, result, attempt, arrivals)
  local op, value = result.op, result.value
  local more = ',"a":' .. result.attempt .. result.extra
  if op == "C" then
    more = more .. ',"x":"' .. result.edges .. '","o":' .. value
  elseif op == "S" then
    more = more .. ',"v":"' .. value .. '"'
  elseif op ~= "P" then
    more = more .. ',"x":"' .. result.edges .. '","err":' .. value
  end
  local rest = value
  if op == "R" or op == "P" then
    local due = now_ms + result.delay_ms
    more = more .. ',"due":' .. string.format("%.0f", due)
    attempt = op == "R" and attempt + 1 or attempt
    rest = arrivals
    local kind = op == "R" and "emit" or "resume"
    plan.timers[#plan.timers + 1] = { due, timer_member(kind, item.run_id, item.epoch,
      result.node, result.scope, attempt, item.own_queue), result.node }
  end
  plan.events[#plan.events + 1] = told(item, EVENT[op], result.node, result.scope, more)
  set(plan, "n" .. result.node, STATE[op] .. attempt .. "|" .. result.scope .. "|" .. rest)
  if op == "R" or op == "P" then
    return
  end
  if op == "X" then
    plan.ends, plan.error = "failed", value
    return
  end
  if op == "U" then
    set(plan, "nf", "1")
    plan.failed = true
  end
  if result.scope == "" then
    plan.delta = plan.delta - 1
  end
  plan_effects(item, plan, result, #value <= PAYLOAD_INLINE_MAX and "=" .. value or "")
end

-- The positive record decides: nothing but an active token of the living round is settled.
local function plan_item(item)
  local first = item.results[1]
  if not first then
    return 0, nil -- only acknowledged
  end
  local have = redis.call("HMGET", item.run, "s", "e", "c", "nf", "n" .. first.node)
  if have[1] ~= "running" then
    return -1, nil
  elseif have[2] ~= item.epoch then
    return -2, nil
  elseif not have[5] then
    return -3, nil
  end
  local state, attempt, scope, rest = parse_record(have[5])
  local op = first.op
  local expected = (op == "S" and state == "k") or (op == "C" and (state == "a" or state == "r"))
    or (op ~= "S" and op ~= "C" and state == "a")
  if not expected or scope ~= first.scope then
    return -3, nil
  elseif (op ~= "C" and attempt ~= first.attempt) or first.attempt > attempt then
    return -4, nil
  elseif not scope_is_current(item.run, scope) then
    return -3, nil
  end
  local plan = { fields = {}, entries = {}, timers = {}, joins = {}, events = {}, delta = 0, work = 0,
    counter = tonumber(have[3]), failed = have[4] == "1" }
  if state == "r" then
    plan.cancels = timer_member("emit", item.run_id, item.epoch, first.node, scope, attempt, item.own_queue)
  end
  for i = 1, #item.results do
    plan_result(item, plan, item.results[i], i == 1 and attempt or 1, i == 1 and rest or "")
  end
  for field, join in pairs(plan.joins) do
    set(plan, field, join.scope .. "|" .. join.live .. "|" .. join.decided .. "|" .. join.failed .. "|" .. join.arrivals)
  end
  plan.counter = plan.counter + plan.delta
  if plan.counter < 0 then
    error("counter would be " .. plan.counter)
  end
  if plan.counter == 0 and not plan.ends then
    plan.ends = plan.failed and "failed" or (item.has_output and "finishing" or "completed")
  end
  return 0, plan
end
