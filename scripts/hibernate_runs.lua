--[[
hibernate_runs -- freeze runs in which nothing can happen for long, so that they can leave Redis.

Atomic because the look at the tokens and the freeze are one: from then on nothing is accepted for
the run, so the journal up to `run.hibernated` is all of it. The keys stay until that is committed
(evict_runs): a run that is not here is asleep in Postgres, or not at all.

KEYS
  1  ev        stream  gv:{p}:ev               journal, appends
  2  meta      hash    gv:{p}:meta             epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers           removes the runs' timers
  4  release   zset    gv:{p}:release          runs whose keys go when their sleep is committed; writes
  5+ runs      hash    gv:{p}:run:<id>         one per run; reads and writes; its maps and their
                                               elements follow from it, reads
  .. held      list    gv:{p}:run:<id>:held    one per run, in the same order; reads
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  least_ms  how far the earliest timer must be off
  4+ runs      ids
RETURNS array
  1  0, or -100 EPOCH
  2+ per run: 0 asleep, 1 neither running nor paused, or not here (or something else stands in place of
     a key of it or of a child), 2 something of it is under way, or it is too large to look through,
     3 a timer is near, 4 not looked through: ask for it once more
EMITS     run.hibernated
REPEAT    1
COST      O(size of the runs): the first, at most SIZE_MAX elements and HASHES_MAX fields, and as many
          more as stay below CALL_SIZE and CALL_HASHES with it
]]
--- @include "partition"
--- @include "foreign"
--- @include "scope"
--- @include "token"
--- @include "unit"
--- @include "fields"
local ev, meta, timers, release = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local nonce, least_ms, RUNS_AT = ARGV[2], tonumber(ARGV[3]), 3
local count = #ARGV - RUNS_AT
local OPEN = { a = true, k = true, g = true, m = true, w = true, r = true }
local SIZE_MAX, HASHES_MAX = 10000, 20000
-- Many of the largest in one call would take seconds, in which nobody else is served.
local CALL_SIZE, CALL_HASHES = 1000, 4000

if not open_partition(meta, ARGV[1]) then
  return { -100 }
end

local function place_of(unit, node, scope, attempt)
  return unit .. "\31" .. node .. "\31" .. scope .. "\31" .. attempt
end

-- What the call has looked at, and how far it looks at all: the first run is looked through whatever
-- it takes, so that each call gets on.
local seen = { size = 0, fields = 0, entries = 0, size_max = SIZE_MAX, fields_max = HASHES_MAX }

local function has_seen(size, fields)
  seen.size, seen.fields = seen.size + size, seen.fields + fields
  seen.is_over = seen.size > seen.size_max or seen.fields > seen.fields_max
  return seen.is_over
end

-- Places of the tokens that a paused run has put aside: nobody is at them. Nil: too many.
local function held_places(held)
  local places = {}
  seen.entries = seen.entries + redis.call("LLEN", held)
  seen.is_over = seen.entries > seen.size_max
  if seen.is_over then
    return nil
  end
  for _, item in ipairs(redis.call("LRANGE", held, 0, -1)) do
    local unit, node, scope, attempt =
      string.match(item, "\30([^\31]*)\31[^\31]*\31([^\31]*)\31([^\31]*)\31([^\31]*)")
    places[place_of(unit, node, scope, attempt)] = true
  end
  return places
end

-- Whether a waiting token's child has ended. Its end met a parent that was asleep, and its release
-- will wake this token: with the parent asleep again by then, nothing would.
local ENDED = { completed = true, failed = true, cancelled = true }
local function has_ended_child(run, unit, node)
  local child = string.match(redis.call("HGET", run, "w" .. node) or "", '"kind":"child","run":"([^"]*)"')
  return child and ENDED[redis.call("HGET", string.sub(run, 1, #run - #unit) .. child, "s") or ""]
end

local is_idle

-- Whether all elements of a map wait, and all that may begin have begun.
local function is_map_idle(map, map_unit, is_held)
  local have = redis.call("HMGET", map, "n", "next", "done", "window")
  local all, next_index = tonumber(have[1]), tonumber(have[2] or SIZE_MAX)
  local in_flight = next_index - tonumber(have[3] or 0)
  if has_seen(next_index, 0) or not have[4] then
    return false
  elseif next_index < all and in_flight < tonumber(have[4]) and not is_held then
    return false
  end
  for i = 0, next_index - 1 do
    local element = map .. "#" .. i
    local status = redis.call("HGET", element, "s")
    if status and (status ~= "running" or not is_idle(element, map_unit .. "#" .. i)) then
      return false
    end
  end
  return true
end

-- Whether nobody is at any token of the unit: it waits, or it is held. Tokens of rounds that are
-- over do not count, whatever somebody is still doing with them. `seen` gathers the timers.
is_idle = function(run, unit)
  local tokens, armed = {}, {}
  if has_seen(0, redis.call("HLEN", run)) then
    return false
  end
  for _, field in ipairs(redis.call("HKEYS", run)) do
    local kind = string.match(field, "^([nd])%d+$")
    if kind == "n" then
      tokens[#tokens + 1] = field
    elseif kind == "d" then
      armed[#armed + 1] = field
    end
  end
  for i, record in ipairs(read_fields(run, tokens)) do
    local state, attempt, scope = parse_record(record)
    if OPEN[state] and scope_is_current(run, scope) then
      local node = string.sub(tokens[i], 2)
      local is_held = seen.held[place_of(unit, node, scope, attempt)]
      seen.is_open = true
      if state == "m" then
        if not is_map_idle(map_of(run, scope, node), map_of(unit, scope, node), is_held) then
          return false
        end
      elseif state ~= "w" and state ~= "r" and not is_held then
        return false
      elseif state == "w" and has_ended_child(run, unit, node) then
        return false
      end
    end
  end
  for _, member in ipairs(read_fields(run, armed)) do
    seen.timers[#seen.timers + 1] = member
  end
  return true
end

-- The timers of a run that may sleep, when the earliest is due, and its pauses; or why it may not.
local function look(run_id, run, held)
  local have = redis.call("HMGET", run, "s", "e", "ps")
  local is_paused = have[1] == "paused"
  if have[1] ~= "running" and not is_paused then
    return { no = 1 }
  end
  seen.timers, seen.is_open = {}, false
  seen.held = is_paused and held_places(held) or (not is_paused and {})
  if not seen.held or not is_idle(run, run_id) or not seen.is_open then
    return { no = seen.is_over and seen.size_max < SIZE_MAX and 4 or 2 }
  end
  local members, due = seen.timers, nil
  members[#members + 1] = timer_member("run", run_id, have[2], "", "", "", "")
  for i = 1, #members do
    -- Whoever resumes a run gives what is held for it a new time in its queue.
    local counts = not (is_paused and string.sub(members[i], 1, 5) == "late|")
    local score = counts and tonumber(redis.call("ZSCORE", timers, members[i]) or nil)
    due = score and math.min(due or score, score) or due
  end
  if due and due - now_ms < least_ms then
    return { no = 3 }
  end
  return { members = members, due = due, causes = is_paused and have[3] }
end

local function hibernate(run_id, run, held)
  local found = unless_foreign({ no = 1 }, look, run_id, run, held)
  if found.no then
    return found.no
  end
  local members, due = found.members, found.due
  journal('{"r":"' .. run_id .. '","e":"run.hibernated"'
    .. (due and ',"due":' .. string.format("%.0f", due) or "")
    .. (found.causes and ',"ps":"' .. found.causes .. '"' or "") .. "}")
  for i = 1, #members do
    redis.call("ZREM", timers, members[i])
  end
  -- Which sleep it is: the record that tells of it.
  redis.call("HSET", run, "s", "asleep", "sl", string.format("%.0f", tail_seq + 1))
  redis.call("ZADD", release, now_ms, run_id)
  return 0
end

local replies = { 0 }
for i = 1, count do
  local is_left = i > 1
    and (seen.size + seen.entries >= CALL_SIZE or seen.fields >= CALL_HASHES)
  replies[i + 1] = is_left and 4 or hibernate(ARGV[RUNS_AT + i], KEYS[4 + i], KEYS[4 + count + i])
  seen.size_max, seen.fields_max = CALL_SIZE, CALL_HASHES
end
close_partition(ev, meta, nonce)
return replies
