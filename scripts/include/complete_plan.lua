--[[
complete_plan -- what one item would change: reads and decisions only, no write.

Everything an item would write is collected in flat lists that are used again for the next item:
this code runs once per step, and a table per step is what it would spend most of its time on.
]]
local ARGV, KEYS = ARGV, KEYS
local ITEM_FIELDS, RESULT_FIELDS, EFFECT_FIELDS = 8, 7, 8

-- The item being planned, and what it would write.
local it = {}
local fields, field_count = {}, 0
local queues, entries, entry_count = {}, {}, 0
local dues, members, timed, timer_count = {}, {}, {}, 0
local events, event_count = {}, 0
local joins, has_joins = {}, false
local delta, work = 0, 0
local texts = {}
-- Emitted tokens that may not stand in their queue for long: node, ms, timer; three places each.
local late, late_count = {}, 0

local function set(field, value)
  fields[field_count + 1], fields[field_count + 2] = field, value
  field_count = field_count + 2
end

local function told(event, node, scope, more)
  event_count = event_count + 1
  events[event_count] = it.told .. event .. '","n":' .. node .. ',"s":"' .. scope .. '"' .. more .. "}"
end

local function emit(queue, node, scope, kind, arrivals, payload)
  entry_count = entry_count + 1
  queues[entry_count] = queue
  entries[entry_count] = it.packed .. node .. "\31" .. scope .. "\0311\31" .. it.ir .. "\31" .. kind
    .. "\31" .. arrivals .. "\31" .. payload
  local ms = it.limits and kind == "" and late_ms(it.limits, node)
  if ms then
    late[late_count + 1], late[late_count + 2] = node, ms
    late[late_count + 3] = late_member(it.run_id, it.epoch, node, scope, 1, queue)
    late_count = late_count + 3
  end
end

local function arm(due, member, node)
  timer_count = timer_count + 1
  dues[timer_count], members[timer_count], timed[timer_count] = due, member, node
  if it.element then
    set("x", 1) -- whoever ends the element has a timer to take off
  end
end

--- @include "complete_arrivals"
--- @include "complete_wait"
--- @include "complete_element"

-- The effects that begin at `at`; returns where they end.
local function plan_effects(at, latch, token_scope, rest, value, payload)
  local plain = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, plain do
    delta = delta + 1
    set("n" .. ARGV[at], "a1||")
    emit(KEYS[it.queue_base + ARGV[at + 1]], ARGV[at], "", "", "", payload)
    at = at + 2
  end
  local others = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, others do
    local kind, node, depth, suffix = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
    if kind == "T" then
      delta = depth == 0 and delta + 1 or delta
      local scope = scope_prefix(token_scope, depth)
      activate(node, depth, scope, suffix, ARGV[at + 4], "", payload, 0)
    elseif kind == "F" then
      delta = depth == 0 and delta + 1 or delta
    elseif kind == "G" then
      local scope, delay_ms = scope_prefix(token_scope, depth), tonumber(rest)
      -- The next round's input: a latch that is its own head overwrites its record.
      set("i" .. latch, value)
      activate(node, depth, scope, suffix, ARGV[at + 4], "", payload, delay_ms)
      told("loop.round", node, scope_join(scope, suffix), ',"due":' .. string.format("%.0f", now_ms + delay_ms))
    elseif kind == "E" then
      end_loop(token_scope, node, depth)
    else
      arrive(token_scope, rest, kind, node, depth, suffix, ARGV[at + 4],
        tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]))
    end
    at = at + EFFECT_FIELDS
  end
  return at
end

local EVENT = { C = "node.completed", A = "node.completed", F = "node.failed", U = "node.failed",
  X = "node.failed", R = "node.retrying", P = "node.parked", S = "node.skipped" }
-- W is told by plan_wait.
local STATE = { C = "c", A = "c", F = "f", U = "f", X = "f", R = "r", P = "w", S = "s" }

-- States of the record in which a result is accepted. Lower case: of a map whose results are collected.
local EXPECTS = { C = "ar", A = "ar", F = "a", U = "a", X = "a", R = "a", P = "a", W = "a",
  S = "k", c = "g", a = "g", f = "g", u = "g", x = "g", r = "g" }
local SUCCEEDS = { C = true, A = true, c = true, a = true }

-- Where the effects of the result at `at` end.
local function after_result(at)
  at = at + RESULT_FIELDS
  at = at + 1 + 2 * ARGV[at]
  return at + 1 + EFFECT_FIELDS * ARGV[at]
end

-- One result; returns where the next one begins.
local function plan_result(at, attempt, arrivals)
  local node, scope, value = ARGV[at], ARGV[at + 1], ARGV[at + 4]
  local op, edges = string.sub(ARGV[at + 3], 1, 1), string.sub(ARGV[at + 3], 2)
  if EXPECTS[op] == "g" then
    op = plan_gathered(op, node, scope, ARGV[at + 5])
  end
  local more = ',"a":' .. ARGV[at + 2] .. ARGV[at + 5]
  if op == "W" then
    plan_wait(at, attempt, arrivals, more)
    return after_result(at)
  end
  if op == "R" or op == "P" then
    local due = now_ms + tonumber(ARGV[at + 6])
    -- One that its circuit holds back begins anew with the same attempt, as after a retry.
    local is_held = op == "P" and value == "held"
    local kind = (op == "R" or is_held) and "emit" or "resume"
    attempt = op == "R" and attempt + 1 or attempt
    more = more .. ',"due":' .. string.format("%.0f", due) .. (op == "R" and ',"err":' .. value or "")
    told(EVENT[op], node, scope, more)
    set("n" .. node, STATE[is_held and "R" or op] .. attempt .. "|" .. scope .. "|" .. arrivals)
    if is_held then
      set("w" .. node, "") -- what it was resumed from lies before: it may wait for that again
    end
    arm(due, timer_member(kind, it.run_id, it.epoch, node, scope, attempt, it.own_queue), node)
    return after_result(at)
  end
  if op == "C" or op == "A" then
    more = more .. ',"x":"' .. edges .. '","o":' .. value
  elseif op == "S" then
    more = more .. ',"v":"' .. value .. '"'
  else
    more = more .. ',"x":"' .. edges .. '","err":' .. value
  end
  told(EVENT[op], node, scope, more)
  -- A success may be of an attempt before the current one.
  set("n" .. node, STATE[op] .. ARGV[at + 2] .. "|" .. scope .. "|" .. value)
  if op == "X" then
    it.ends, it.error = "failed", value
    return after_result(at)
  elseif op == "U" then
    -- Which nodes: whoever waits for this run reads their errors.
    if not string.find("," .. (it.failed or "") .. ",", "," .. node .. ",", 1, true) then
      it.failed = it.failed and it.failed .. "," .. node or node
      set("nf", it.failed)
    end
  end
  if scope == "" then
    delta = delta - 1
  end
  return plan_effects(at + RESULT_FIELDS, node, scope, ARGV[at + 6], value,
    #value <= PAYLOAD_INLINE_MAX and "=" .. value or "")
end

-- Whether the record in the run lets this result in: 0, or the code to answer.
local function refusal(have, at)
  it.is_paused = have[1] == "paused"
  if have[1] ~= "running" and not it.is_paused then
    return -1
  elseif have[2] ~= it.epoch then
    return -2
  elseif not have[5] then
    return -3
  end
  local state, attempt, scope, rest = "a", 1, "", ""
  if have[5] ~= "a1||" then -- by far the most frequent record is not taken apart
    state, attempt, scope, rest = parse_record(have[5])
  end
  local op, tried = string.sub(ARGV[at + 3], 1, 1), tonumber(ARGV[at + 2])
  local is_success = SUCCEEDS[op]
  if not string.find(EXPECTS[op], state, 1, true) or scope ~= ARGV[at + 1] then
    return -3
  elseif tried > attempt or (not is_success and attempt ~= tried) then
    return -4
  elseif scope ~= "" and not scope_is_current(it.run, scope) then
    return VOID
  elseif (op == "W" or op == "P" and ARGV[at + 4] == "") and was_resumed(at) then
    return VOID
  end
  it.attempt, it.arrivals = attempt, rest
  it.cancels = state == "r"
    and timer_member("emit", it.run_id, it.epoch, ARGV[at], scope, attempt, it.own_queue)
  return 0
end

-- Where the item after the one at `at` begins.
local function next_item(at)
  local results = tonumber(ARGV[at + 7])
  at = at + ITEM_FIELDS
  for _ = 1, results do
    at = after_result(at)
  end
  return at
end

-- The stream that an item's entry stands in.
local function entry_stream(at)
  return KEYS[tonumber(ARGV[at + 5])]
end

-- Nothing is planned yet. `failed`: nodes of the run that failed unhandled so far.
local function begin_plan(failed)
  it.failed, it.ends, it.error, it.signals, it.limits, it.up = failed, nil, nil, nil, nil, nil
  field_count, entry_count, timer_count, event_count, delta, work = 0, 0, 0, 0, 0, 0
  late_count = 0
  if fired_count > 0 then
    fired_count, it.gone = 0, nil
  end
  if has_joins then
    joins, has_joins = {}, false
  end
end

-- A count as text. Most are small and come again and again, and printing one is dear.
local function digits(count)
  local text = texts[count] or string.format("%d", count)
  texts[count] = text
  return text
end

-- Adds what follows from the whole plan: the joins' records, the counter, and the end at zero.
local function end_plan(counted)
  if fired_count > 0 then
    cancel_losers()
  end
  for field, join in pairs(joins) do
    set(field, join.scope .. "|" .. digits(join.live) .. "|" .. digits(join.decided) .. "|"
      .. digits(join.failed) .. "|" .. join.arrivals)
  end
  if delta ~= 0 then
    local counter = tonumber(counted) + delta
    if counter < 0 then
      error("counter would be " .. counter)
    end
    set("c", digits(counter))
    if counter == 0 and not it.ends then
      it.ends = it.failed and "failed" or (string.find(it.flags, "o", 1, true) and "finishing" or "completed")
    end
  end
end

-- Plans the item at `at`: 0 if its plan is to be applied, EMPTY if it has none, else a code.
local function plan_item(at)
  it.run_id, it.epoch = ARGV[at + 1], ARGV[at + 2]
  local results = tonumber(ARGV[at + 7])
  if results == 0 then
    return EMPTY
  end
  local profile = 3 * ARGV[at + 3]
  local key = tonumber(ARGV[at])
  it.element, it.gathered = key < 0 and element_place(KEYS[-key]), nil
  it.run, it.ir, it.flags = KEYS[it.element and -key or key], ARGV[profile], ARGV[profile + 1]
  it.queue_base = tonumber(ARGV[profile + 2])
  it.own_queue = KEYS[it.queue_base + ARGV[at + 4]]
  at = at + ITEM_FIELDS
  local have
  if it.element then
    have = redis.call("HMGET", it.run, "s", "e", "c", "nf", "n" .. ARGV[at], "x")
    local own, status = accept_element(have)
    if string.byte(ARGV[at + 3]) == OUTPUT then
      return plan_element_output(own, status, have[2], at)
    end
    it.told = told_of(it.run_id) .. ',"e":"'
  else
    have = redis.call("HMGET", it.run, "s", "e", "c", "nf", "n" .. ARGV[at])
    it.told = '{"r":"' .. it.run_id .. '","e":"'
  end
  local code = refusal(have, at)
  if code ~= 0 then
    return code
  end
  it.packed = it.run_id .. "\31" .. it.epoch .. "\31"
  begin_plan(have[4])
  it.limits = string.match(it.flags, ";.*")
  for i = 1, results do
    at = plan_result(at, i == 1 and it.attempt or 1, i == 1 and it.arrivals or "")
  end
  end_plan(have[3])
  if it.element and it.ends and it.ends ~= "finishing" then
    plan_element_end(nil)
  end
  return 0
end
