--[[
complete_losers -- a join that was to be first has fired: what is open of its branches is cancelled.

Which nodes these are is static, and comes with the arrival in the closure: "|!<join>=<tokens>;
<joins>;<loops>|", indexes separated by commas: nodes whose tokens live beside the join, nodes there that
are joins themselves, latches of whole loops. It is done when everything else of the item is planned:
what the same step has begun there ends with the rest, and its entry is never written. Nothing begins
there later (compiler/branches.ts). A loop ends as a round does, so what is in it is void and stays
where it is. Part of complete_plan: only reads.
]]
local OPEN = { a = true, r = true, w = true, k = true, m = true, g = true }
-- Joins that have fired in this item: node, scope, what the closure says.
local fired, fired_count = {}, 0

local function note_losers(closure, node, scope)
  local _, from = string.find(closure, "|!" .. node .. "=", 1, true)
  if from then
    fired[fired_count + 1], fired[fired_count + 2] = node, scope
    fired[fired_count + 3] = string.sub(closure, from + 1, string.find(closure, "|", from + 1, true) - 1)
    fired_count = fired_count + 3
  end
end

-- Entries and timers that this item was to write for a token of this node.
local function withdraw(node)
  local left = 0
  for i = 1, entry_count do
    if string.match(entries[i], "^[^\31]*\31[^\31]*\31([^\31]*)") ~= node then
      left = left + 1
      queues[left], entries[left] = queues[i], entries[i]
    end
  end
  entry_count, left = left, 0
  for i = 1, late_count, 3 do
    if late[i] ~= node then
      late[left + 1], late[left + 2], late[left + 3] = late[i], late[i + 1], late[i + 2]
      left = left + 3
    end
  end
  late_count = left
end

-- Calls visit(index, value) for the fields <kind><index> of a list that have a value, as this item
-- leaves them.
local function each_field(kind, list, visit)
  local names, indexes = {}, {}
  for index in string.gmatch(list, "%d+") do
    names[#names + 1], indexes[#indexes + 1] = kind .. index, index
  end
  local stored = #names > 0 and redis.call("HMGET", it.run, unpack(names)) or {}
  for i = 1, #names do
    local value = it.now[names[i]] or stored[i]
    if value then
      visit(indexes[i], value)
    end
  end
end

local function cancel_token(node, record, join, scope)
  local state, attempt, at = parse_record(record)
  if not OPEN[state] or at ~= scope then
    return
  end
  set("n" .. node, "x" .. attempt .. "|" .. scope .. "|")
  told("node.cancelled", node, scope, ',"a":' .. attempt .. ',"j":' .. join)
  delta = scope == "" and delta - 1 or delta
  withdraw(node)
  local gone = it.gone
  gone.nodes[#gone.nodes + 1] = "d" .. node
  if state == "w" then
    gone.parked[#gone.parked + 1] = node
  elseif state == "m" or state == "g" then
    gone.maps[#gone.maps + 1] = map_of(it.run_id, scope, node)
  end
end

-- Live tokens that wait at a join are consumed.
local function cancel_join(node, stored, winner, scope)
  if string.sub(stored, 1, #scope + 1) ~= scope .. "|" then
    return
  end
  local join = read_join(node, scope, 0, stored)
  if join.live > 0 then
    told("join.decided", node, scope, ',"v":"cancelled","in":"' .. join.arrivals .. '","j":' .. winner)
    delta = scope == "" and delta - join.live or delta
    join.live = -1
  end
end

local function cancel_loop(latch, round, join, scope)
  local _, depth = string.gsub(scope, ":", "")
  if string.sub(round, 1, 1) ~= "e" and scope_prefix(round, depth) == scope then
    set("l" .. latch, "e" .. round)
    told("node.cancelled", latch, round, ',"j":' .. join)
    delta = scope == "" and delta - 1 or delta
  end
end

local function cancel_losers()
  it.gone, it.now = { nodes = {}, maps = {}, parked = {} }, {}
  for i = 1, field_count, 2 do
    it.now[fields[i]] = fields[i + 1]
  end
  for field, join in pairs(joins) do
    it.now[field] = join.scope .. "|"
  end
  for i = 1, fired_count, 3 do
    local join, scope = fired[i], fired[i + 1]
    local tokens, merges, loops = string.match(fired[i + 2], "^([^;]*);([^;]*);(.*)$")
    each_field("n", tokens, function(node, record) cancel_token(node, record, join, scope) end)
    each_field("j", merges, function(node, stored) cancel_join(node, stored, join, scope) end)
    each_field("l", loops, function(latch, round) cancel_loop(latch, round, join, scope) end)
  end
  local nodes = it.gone.nodes
  it.gone.timers = #nodes > 0 and redis.call("HMGET", it.run, unpack(nodes)) or {}
end

-- Timers go, nobody waits for signals any more, maps are left to a supervisor, and workers look again
-- at what they have of the run.
local function apply_losers()
  local gone = it.gone
  for i = 1, #gone.nodes do
    if gone.timers[i] then
      redis.call("ZREM", k.timers, gone.timers[i])
      redis.call("HDEL", it.run, gone.nodes[i])
    end
  end
  for i = 1, #gone.parked do
    leave_line(signals_of(it.run), gone.parked[i], home_of(it.run_id))
  end
  for i = 1, #gone.maps do
    redis.call("ZADD", k.release, now_ms, gone.maps[i])
  end
  if #gone.nodes > 0 then
    halt(k, string.match(it.run_id, "^[^!]*"))
  end
end
