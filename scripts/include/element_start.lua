--[[
element_start -- the hash of an element and the tokens of its entry nodes, as run_start for a run.
]]
--- @include "late"

-- m: map (key), map_unit, entries ("node,suffix,queue;" each), ir, epoch, queue_base, is_paused, timers,
-- limits (queue timeouts of the body, see late).
local function start_element(m, index, item)
  local key, unit = m.map .. "#" .. index, m.map_unit .. "#" .. index
  local payload = #item <= PAYLOAD_INLINE_MAX and "=" .. item or ""
  local fields, sent, count = { "s", "running", "e", m.epoch, "ir", m.ir, "it", item }, {}, 0
  if m.limits then
    fields[9], fields[10] = "qt", m.limits
  end
  for node, suffix, queue in string.gmatch(m.entries, "(%d+),([^,]*),(%d+);") do
    scope_each(suffix, 1, function(latch, round)
      fields[#fields + 1], fields[#fields + 2] = "l" .. latch, round
    end)
    fields[#fields + 1], fields[#fields + 2] = "n" .. node, "a1|" .. suffix .. "|"
    count = count + 1
    sent[count] = { KEYS[m.queue_base + tonumber(queue)],
      pack_entry(unit, m.epoch, node, suffix, 1, m.ir, "", "", payload), node, suffix }
  end
  fields[#fields + 1], fields[#fields + 2] = "c", count
  for from = 1, #fields, 1000 do
    redis.call("HSET", key, unpack(fields, from, math.min(from + 999, #fields)))
  end
  for i = 1, count do
    dispatch(m.is_paused, key, sent[i][1], sent[i][2])
    local ms = not m.is_paused and late_ms(m.limits, sent[i][3])
    if ms then
      arm_late(m.timers, key, ms, late_member(unit, m.epoch, sent[i][3], sent[i][4], 1, sent[i][1]), sent[i][3])
      redis.call("HSET", key, "x", 1)
    end
  end
  return count
end
