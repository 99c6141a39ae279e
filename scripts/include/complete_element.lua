--[[
complete_element -- items of a map's elements: acceptance, and what an element's end leads to.

An element counts its own tokens. At zero, or with its first unhandled failure, it has ended: its
result goes to the map's hash, its own hash goes away, and the next index starts; the last one, or
one failure too many, hands the map's token to a worker (map_gather). Part of complete_plan: plan_*
only reads.
]]
local NO_ERROR = '{"error":{"code":"HANDLER_ERROR","message":"a node of the element failed"}}'

-- An element is accepted by its own record and by its ancestors: the status is the run's, the epoch
-- the one that its map's expansion gives it.
local function accept_element(have)
  local own = have[1]
  local status, epoch = element_run(it.element)
  have[1], have[2] = own == "running" and status, epoch
  it.leaves = have[6]
  return own, (status == "running" or status == "paused") and status
end

-- What this item has planned to write into a field of the unit; nil: nothing.
local function planned(field)
  for i = field_count - 1, 1, -2 do
    if fields[i] == field then
      return fields[i + 1]
    end
  end
end

-- The output of the only terminal node that completed, an object of several, null of none.
local function element_output(terminals)
  local nodes, ids, missing = {}, {}, {}
  for node, id in string.gmatch(terminals, "(%d+)=([^,]+),") do
    nodes[#nodes + 1], ids[#ids + 1] = node, id
    missing[#missing + 1], missing[#missing + 2] = "n" .. node, "l" .. node
  end
  local stored = {}
  if not (#nodes == 1 and planned("n" .. nodes[1])) then
    stored = read_fields(it.run, missing)
  end
  local outputs = {}
  for i = 1, #nodes do
    local record = planned("n" .. nodes[i]) or stored[2 * i - 1]
    local state, _, scope, output
    if record then
      state, _, scope, output = parse_record(record)
    end
    -- A latch without out-edges counts if it completed in its loop's last round.
    if state == "c" and (scope == "" or (planned("l" .. nodes[i]) or stored[2 * i]) == "e" .. scope) then
      outputs[#outputs + 1] = { ids[i], output }
    end
  end
  if #outputs < 2 then
    return outputs[1] and outputs[1][2] or "null"
  end
  local parts = {}
  for i = 1, #outputs do
    parts[i] = '"' .. outputs[i][1] .. '":' .. outputs[i][2]
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local MAP_FIELDS = { "n", "next", "done", "failed", "tolerated", "terminals", "entries", "queue" }

-- What the end of this item's element changes in its map. `output` is given by op Z.
local function plan_element_end(output)
  local e = it.element
  local m = redis.call("HMGET", e.map, unpack(MAP_FIELDS))
  local count, next_index = tonumber(m[1]), tonumber(m[2])
  local tolerated = tonumber(m[5])
  e.done, e.failed, e.queue, e.entries = tonumber(m[3]) + 1, tonumber(m[4]), m[8], m[7]
  local named = element_place(it.run_id)
  e.parent_unit, e.map_unit, e.next = named.parent, named.map, next_index
  e.is_paused = it.is_paused
  e.epoch, e.queue_base, e.parent_ir = it.epoch, it.queue_base, string.match(it.ir, "^(.*)/%d+$")
  local told_end = told_of(e.parent_unit) .. ',"e":"map.element","n":' .. e.node .. ',"s":"' .. e.scope
    .. '","i":' .. e.index
  if it.ends == "failed" then
    e.error = it.error or NO_ERROR
    e.failed = e.failed + 1
    e.told = told_end .. ',"v":"failed","err":' .. e.error .. "}"
  else
    e.output = output or element_output(m[6])
    e.told = told_end .. ',"v":"done"' .. (output and ',"o":' .. output or "") .. "}"
  end
  if e.failed > tolerated then
    e.failure = '{"index":' .. e.index .. ',"failed":' .. e.failed .. ',"value":' .. e.error .. "}"
  end
  e.gathers = e.failure ~= nil or e.done == count
  e.starts = not e.gathers and next_index < count and next_index or nil
  e.item = e.starts and redis.call("HGET", e.map, "x" .. e.starts)
  e.left = it.leaves and redis.call("HKEYS", it.run) or nil
end

-- Op Z: a worker has evaluated the element's output template; X in its place: it could not.
local function plan_element_output(own, status, epoch, at)
  if own ~= "finishing" or not status then
    return -1
  elseif epoch ~= it.epoch then
    return -2
  end
  field_count, entry_count, timer_count, event_count = 0, 0, 0, 0
  it.is_paused = status == "paused"
  local is_done = string.sub(ARGV[at + 3], 2) == "L"
  it.ends, it.error = is_done and "completed" or "failed", not is_done and ARGV[at + 4] or nil
  it.cancels = timer_member("finish", it.run_id, it.epoch, "", "", "", common_queue(it.own_queue))
  plan_element_end(is_done and ARGV[at + 4] or nil)
  return 0
end

local function tell_element_end()
  local e = it.element
  journal(e.told)
  if e.gathers then
    tell_gather(e, e.failure)
  end
end

-- Timers and waits for signals that an element leaves behind are taken off, maps inside it are left to
-- a supervisor.
local function clear_element(left)
  for i = 1, #left do
    local kind, node = string.match(left[i], "^([dmw])(%d+)$")
    if kind == "d" then
      redis.call("ZREM", k.timers, redis.call("HGET", it.run, left[i]))
    elseif kind == "m" then
      redis.call("ZADD", k.release, now_ms, map_of(it.run_id, redis.call("HGET", it.run, left[i]), node))
    elseif kind == "w" then
      leave_line(signals_of(it.run), node, home_of(it.run_id))
    end
  end
end

local function apply_element_end()
  local e = it.element
  if it.cancels then
    redis.call("ZREM", k.timers, it.cancels)
  end
  if e.left then
    clear_element(e.left)
  end
  redis.call("UNLINK", it.run)
  redis.call("HSET", e.map, "done", e.done, "failed", e.failed, "next", e.starts and e.starts + 1 or e.next,
    (e.error and "e" or "r") .. e.index, e.error or e.output)
  if e.gathers then
    e.ir, e.epoch = e.parent_ir, e.parent_epoch
    gather_map(k, e, e.failure)
  elseif e.starts then
    e.ir, e.limits, e.timers = it.ir, it.limits, k.timers
    start_element(e, e.starts, e.item)
  end
  return 0
end

-- A result of the gathering phase: the map's hash goes with it, unless elements may be in flight.
local function plan_gathered(op, node, scope, extra)
  it.gathered = map_of(it.run, scope, node)
  it.gathered_unit = map_of(it.run_id, scope, node)
  local errors = string.match(extra, ',"errs":(.*)$')
  if errors then
    set("e" .. node, scope .. "|" .. errors)
  end
  return string.upper(op)
end

local function apply_gathered()
  if redis.call("HGET", it.gathered, "s") ~= "failed" then
    redis.call("UNLINK", it.gathered)
    redis.call("SREM", string.match(it.run, "^[^!]*") .. ":maps", it.gathered_unit)
  end
end
