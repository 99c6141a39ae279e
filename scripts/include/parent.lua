--[[
parent -- the token that waits for a run: field `up` of a child, "<unit>|<node>|<scope>|<attempt>|
<queue key>" (21 A7). The unit is the parent run, or an element of one of its maps.

The parent's hash and queue are not among the KEYS of what ends runs: whoever ends one does not know
that it is a child. They lie in the child's slot, since a child is in the partition of its root.
]]
--- @include "foreign"
--- @include "resume"

local function parent_of(run, run_id, up)
  local unit, node, scope, attempt, queue =
    string.match(up, "^([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$")
  local keys = string.sub(run, 1, #run - #run_id)
  return { run_id = unit, node = node, scope = scope, attempt = tonumber(attempt), queue = queue,
    key = keys .. unit, run = keys .. string.match(unit, "^[^!]*") }
end

-- Whether a parked token waits for this child: the token of an element of an expansion before may
-- have had the same name, attempt and place, with a child of its own.
local function is_waited_for(waits, child_id)
  return waits and string.find(waits, '"run":"' .. child_id .. '"', 1, true) ~= nil
end

-- Whether the parent's token still stands where it started this child: "w" parked, "a" active
-- again; nil if not.
local function waits_for_child(t, child_id)
  local status = redis.call("HGET", t.run, "s")
  local record, waits = unpack(redis.call("HMGET", t.key, "n" .. t.node, "w" .. t.node))
  if not record or (status ~= "running" and status ~= "paused")
    or (is_element(t.key) and not element_run(element_place(t.key))) then
    return nil
  end
  local state, attempt, scope = parse_record(record)
  if (state ~= "w" and state ~= "a") or attempt ~= t.attempt or scope ~= t.scope
    or not scope_is_current(t.key, scope) or (state == "w" and not is_waited_for(waits, child_id)) then
    return nil
  end
  return state
end

-- The child has ended: its parent's token goes on, if it still waits.
local function resume_parent(timers, run, run_id, up, status)
  local t = parent_of(run, run_id, up)
  -- One that is to be rebuilt meets the child's end then, which is kept for it (release_runs).
  local is = unless_foreign(false, redis.call, "HGET", t.run, "s")
  if is ~= "running" and is ~= "paused" then
    return false
  end
  local have = unless_foreign({}, redis.call, "HMGET", t.key, "e", "ir", "w" .. t.node)
  if not have[1] or not is_waited_for(have[3], run_id) then
    return false
  end
  t.epoch, t.is_paused = have[1], is == "paused"
  return resume(timers, t.key, nil, t, t.queue, have[2],
    '{"kind":"child","run":"' .. run_id .. '","status":"' .. status .. '"}')
end
