--[[
complete_arrivals -- activations, and arrivals at joins with what a decided join leads to.

Part of complete_plan: collects, writes nothing.
]]
local function activate(node, depth, scope, suffix, queue, arrivals, payload, delay_ms)
  local full = scope
  if suffix ~= "" then
    full = scope_join(scope, suffix)
    scope_each(full, depth + 1, function(latch, round) set("l" .. latch, round) end)
  end
  local key = KEYS[it.queue_base + queue]
  if delay_ms > 0 then
    set("n" .. node, "r1|" .. full .. "|" .. arrivals)
    arm(now_ms + delay_ms, timer_member("emit", it.run_id, it.epoch, node, full, 1, key), node)
  else
    set("n" .. node, "a1|" .. full .. "|" .. arrivals)
    emit(key, node, full, "", arrivals, payload)
  end
end

-- Arrivals at one join: "<scope>|<live>|<decided>|<failed>|<one char per in-edge>". `stored`: its
-- field, if it is known.
local function read_join(node, scope, arity, stored)
  local field = "j" .. node
  local join = joins[field]
  if join and join.scope == scope then
    return join
  end
  join = { scope = scope, live = 0, decided = 0, failed = 0 }
  if stored == nil then
    stored = redis.call("HGET", it.run, field)
  end
  if stored then
    local s, live, decided, failed, arrivals = string.match(stored, "^([^|]*)|(%-?%d+)|(%d+)|(%d+)|(.*)$")
    if s == scope then
      join.live, join.decided, join.failed = tonumber(live), tonumber(decided), tonumber(failed)
      join.arrivals = arrivals
    end
  end
  join.arrivals = join.arrivals or string.rep(".", arity)
  joins[field], has_joins = join, true
  return join
end

-- Writes the values of in-edges from `position` on; false if one of them has arrived before.
local function splice(join, position, values)
  local stop = position + #values
  if string.find(string.sub(join.arrivals, position + 1, stop), "[^.]") then
    return false
  end
  join.arrivals = string.sub(join.arrivals, 1, position) .. values .. string.sub(join.arrivals, stop + 1)
  return true
end

-- The join's own token begins, in place of those that arrived live.
local function fire(join, node, depth, scope, suffix, queue)
  delta = depth == 0 and delta - (join.live - 1) or delta
  told("join.decided", node, scope, ',"v":"fired","in":"' .. join.arrivals .. '"')
  activate(node, depth, scope, suffix, queue, join.arrivals, "", 0)
  join.live = -1
end

--- @include "complete_losers"

local arrive

-- The effects of skipping `node`, from the closure; false when the worker did not send them.
local function skip(scope, closure, node, sent)
  local _, from = string.find(closure, "|" .. node .. "=", 1, true)
  if not from or work > WORK_MAX then
    return false
  end
  local text = string.sub(closure, from + 1, string.find(closure, "|", from + 1, true) - 1)
  local todo = {}
  for t, n, depth, suffix, queue, position, need, arity in
    string.gmatch(text, "(%a),(%d+),(%d+),([^,]*),(%d+),(%d+),(%d+),(%d+)") do
    todo[#todo + 1] = { t, n, tonumber(depth), suffix, tonumber(queue), tonumber(position), tonumber(need), tonumber(arity) }
  end
  return todo
end

local function end_loop(scope, latch, depth)
  set("l" .. latch, "e" .. scope_prefix(scope, depth))
  if depth == 1 then
    delta = delta - 1
  end
end

function arrive(token_scope, closure, value, node, depth, suffix, queue, position, need, arity)
  local scope = scope_prefix(token_scope, depth)
  local counted = depth == 0
  local join = read_join(node, scope, arity)
  work = work + 1
  if join.live < 0 then
    return -- decided before: a live token is consumed on arrival, nothing else changes
  end
  if not splice(join, position, value) then
    error("in-edge " .. position .. " of node " .. node .. " arrived twice")
  end
  join.decided = join.decided + 1
  if value == "L" then
    join.live = join.live + 1
    delta = counted and delta + 1 or delta
  elseif value == "X" then
    join.failed = join.failed + 1
  end
  local complete = join.decided == arity
  if need > 0 and join.live == need then
    fire(join, node, depth, scope, suffix, queue)
    note_losers(closure, node, scope)
  elseif need == 0 and complete and join.live > 0 and join.failed == 0 then
    fire(join, node, depth, scope, suffix, queue)
  elseif complete then
    delta = counted and delta - join.live or delta
    join.live = -1
    local sent = join.failed > 0 and "X" or "D"
    local todo = skip(token_scope, closure, node, sent)
    told("join.decided", node, scope, ',"v":"' .. (sent == "X" and "failed" or "skipped")
      .. '","in":"' .. join.arrivals .. '"' .. (todo and "" or ',"k":1'))
    if not todo then
      -- Too much for this call: a token of its own goes on, and the run cannot end before it. Nothing
      -- of the node is executed, so it waits for nobody who could.
      delta = counted and delta + 1 or delta
      set("n" .. node, "k1|" .. scope .. "|" .. sent)
      emit(common_queue(KEYS[it.queue_base + queue]), node, scope, "k", "", sent)
      return
    end
    for i = 1, #todo do
      local e = todo[i]
      if e[1] == "E" then
        end_loop(token_scope, e[2], e[3])
      else
        arrive(token_scope, closure, sent, e[2], e[3], e[4], e[5], e[6], e[7], e[8])
      end
    end
  end
end
