--[[
expand_map -- write a map's items, then start as many elements as may run at a time.

Atomic because items, the record that says the elements run, and the elements' tokens must agree: a
map whose record said so without its items would end early, elements started twice would run twice.

A map that was settled by hand while its elements ran may be tried again, and so may one around it:
then elements of the expansion before are still there under the names of the new ones, and would be
taken for them. So all of them are removed first; what is late of them has another epoch.

KEYS
  1  ev        stream  gv:{p}:ev                journal, appends
  2  meta      hash    gv:{p}:meta              epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers            the map's timeout, elements'; writes, removes
  4  release   zset    gv:{p}:release           void maps; reads and writes
  5  maps      set     gv:{p}:run:<id>:maps     the run's maps that have keys; writes
  6  map       hash    gv:{p}:run:<map>         the map's items; creates. Its elements' keys are
                                                "<map>#<index>"; removes those of before, creates
  7  run       hash    gv:{p}:run:<unit>        of the map's token; reads and writes
  8  entry_stream stream gv:{p}:q:*              where the token's entry stands; acknowledges
  9  queue     stream  gv:{p}:q:*               of the map's node
 10+ queues    stream  gv:{p}:q:*               of the body; appends. Then the hashes around the unit
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  unit      run, or element of an outer map
  4  run_epoch epoch of the token
  5  node      the map
  6  scope     of its token
  7  attempt   of its token
  8  entry_id  its entry, acknowledged when the elements run by themselves
  9  by        names this expansion: of two at a time the later one counts
 10  ir        IR hash of the body
 11  count     number of elements
 12  window    elements at a time
 13  tolerated failures that do not fail the map
 14  timeouts  of the map in ms, 0 none; then queue timeouts of the body, see include/late.lua
 15  entries   of the body: "node,suffix,queue;" each
 16  terminals of the body: "node=id," each
 17  vars      what the body sees of the outside, as JSON
 18  from      index of the first item of this call
 19+ items     at most 500, as JSON; none: only remove and start elements
RETURNS integer
  0 the elements run, 1 call again (with the next items, then with none), -1 RUN_GONE or void,
  -3 TOKEN_NOT_ACTIVE (acknowledged), -5 SUPERSEDED by a later expansion (not acknowledged),
  -100 EPOCH
EMITS     map.expanded map.started
REPEAT    items that are there are not written again, elements that run are not started again
COST      O(items + elements removed or started), at most about WORK_MAX writes, more only if the
          body has more entry nodes, or the removed ones more timers
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "held"
--- @include "unit"
local ev, meta, timers, release, maps = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local map, run, entry_stream, queue = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local timeout_ms, limits = tonumber(string.match(ARGV[14], "^%d+")), string.match(ARGV[14], ";.*")
local nonce, unit, run_epoch = ARGV[2], ARGV[3], ARGV[4]
local node, scope, attempt, entry_id, by = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local count, window, from = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[18])
local ITEMS, BODY_QUEUES, WORK_MAX, PAYLOAD_INLINE_MAX = 19, 10, 1000, 4096

if not open_partition(meta, ARGV[1]) then
  return -100
end
--- @include "element_start"
--- @include "element_remove"

local map_unit = map_of(unit, scope, node)
local told_map = told_of(unit) .. ',"e":"map.%s","n":' .. node .. ',"s":"' .. scope .. '","a":' .. attempt

-- The record's state and arrivals if this token may go on: a, or m when only elements are missing.
local function look()
  local have = redis.call("HMGET", run, "s", "e", "n" .. node)
  if is_element(unit) and have[1] == "running" then
    have[1], have[2] = element_run(element_place(run))
  end
  if have[1] ~= "running" and have[1] ~= "paused" or have[2] ~= run_epoch then
    return nil, -1
  elseif not have[3] then
    return nil, -3
  end
  local state, tried, at, arrivals = parse_record(have[3])
  if (state ~= "a" and state ~= "m") or at ~= scope or tried ~= tonumber(attempt)
    or not scope_is_current(run, scope) then
    return nil, -3
  end
  return state, arrivals, have[1] == "paused"
end

-- A new expansion: what an earlier one left of this map, or a round before, is void.
local function begin()
  -- Listed before it is there: what is not listed nobody would remove, should a log be cut off in between.
  redis.call("SADD", maps, map_unit)
  local before = redis.call("HGET", run, "m" .. node)
  if before and before ~= scope then
    redis.call("ZADD", release, now_ms, map_of(unit, before, node))
  end
  -- What was void under this name has been; the name is this one's now.
  redis.call("ZREM", release, map_unit)
  -- Whatever put it there: it had begun so many elements, or had yet to remove so many of before.
  local old = redis.call("HMGET", map, "next", "again")
  local again = math.max(tonumber(old[1] or 0), tonumber(old[2] or 0))
  redis.call("UNLINK", map)
  redis.call("HSET", map, "by", by, "got", 0, "n", count, "next", 0, "done", 0, "failed", 0,
    "tolerated", ARGV[13], "window", window, "entries", ARGV[15], "terminals", ARGV[16], "queue", queue, "vars", ARGV[17])
  if again > 0 then
    redis.call("HSET", map, "again", again)
  end
  redis.call("HSET", run, "m" .. node, scope)
  if is_element(unit) then
    redis.call("HSET", run, "x", 1)
  end
end

-- Writes this call's items; tells them first.
local function add_items()
  local given = #ARGV - ITEMS + 1
  journal(string.format(told_map, "expanded") .. ',"from":' .. from .. ',"items":['
    .. table.concat(ARGV, ",", ITEMS) .. "]"
    .. (from == 0 and ',"c":' .. count .. ',"win":' .. window .. ',"tol":' .. ARGV[13] .. ',"vars":' .. ARGV[17] or "")
    .. "}")
  if from == 0 then
    begin()
  end
  local fields = {}
  for i = 1, given do
    fields[2 * i - 1], fields[2 * i] = "x" .. (from + i - 1), ARGV[ITEMS + i - 1]
  end
  redis.call("HSET", map, "got", from + given, unpack(fields))
end

-- Removes what the expansion before has left, the last elements first; returns how much of the budget
-- is left, nil if there are more of them.
local function remove_former(budget)
  local again = tonumber(redis.call("HGET", map, "again") or 0)
  local stay = math.max(0, again - budget)
  for i = again - 1, stay, -1 do
    remove_element(timers, map .. "#" .. i)
  end
  if stay > 0 then
    redis.call("HSET", map, "again", stay)
    return nil
  end
  redis.call("HDEL", map, "again")
  return budget - again
end

-- The elements run from now on, each by itself.
local function open_elements(arrivals)
  redis.call("HSET", run, "n" .. node, "m" .. attempt .. "|" .. scope .. "|" .. arrivals)
  if timeout_ms > 0 then
    local member = timer_member("map", unit, run_epoch, node, scope, attempt, queue)
    arm_timer(timers, run, node, now_ms + timeout_ms, member)
  end
end

-- Starts elements up to the window or the end of the call's budget; returns whether some are left.
local function start_elements(state, arrivals, is_paused, budget)
  local at = redis.call("HMGET", map, "next", "done")
  local first, room = tonumber(at[1]), window - (tonumber(at[1]) - tonumber(at[2]))
  local _, roots = string.gsub(ARGV[15], ";", "")
  local last = math.min(count, first + math.min(room, math.max(1, math.floor(budget / (1 + roots)))))
  if last > first or state == "a" then
    journal(string.format(told_map, "started") .. ',"to":' .. last .. (state == "a" and timeout_ms > 0
      and ',"due":' .. string.format("%.0f", now_ms + timeout_ms) or "") .. "}")
  end
  if state == "a" then
    open_elements(arrivals)
  end
  local m = { map = map, map_unit = map_unit, entries = ARGV[15], ir = ARGV[10],
    epoch = element_epoch(map, run_epoch, tonumber(attempt)), queue_base = BODY_QUEUES, is_paused = is_paused,
    timers = timers, limits = limits }
  for i = first, last - 1 do
    start_element(m, i, redis.call("HGET", map, "x" .. i))
  end
  if last > first then
    redis.call("HSET", map, "next", last)
  end
  return last < count and last - first < room
end

local function expand()
  local state, arrivals, is_paused = look()
  if not state then
    return arrivals, true
  end
  local given, budget = #ARGV - ITEMS + 1, WORK_MAX
  if state == "a" and given > 0 then
    local got = from > 0 and redis.call("HMGET", map, "by", "got") or { by, 0 }
    if got[1] ~= by or tonumber(got[2]) < from then
      return -5, false
    elseif tonumber(got[2]) == from then
      add_items()
    end
    return 1, false
  elseif state == "a" then
    local got = redis.call("HMGET", map, "by", "got")
    if got[1] ~= by or tonumber(got[2]) ~= count then
      return -5, false
    end
    budget = remove_former(WORK_MAX)
    if not budget then
      return 1, false
    end
  end
  local is_more = start_elements(state, arrivals, is_paused, budget)
  return is_more and 1 or 0, not is_more
end

local reply, is_settled = expand()
close_partition(ev, meta, nonce)
if is_settled and entry_id ~= "" then
  redis.call("XDEL", entry_stream, entry_id)
  redis.call("XACK", entry_stream, "workers", entry_id)
end
return reply
