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
  5+ runs      hash    gv:{p}:run:<id>         one per run; reads and writes
  .. maps      set     gv:{p}:run:<id>:maps    one per run, in the same order; reads
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  least_ms  how far the earliest timer must be off
  4+ runs      ids
RETURNS array
  1  0, or -100 EPOCH
  2+ per run: 0 asleep, 1 not running, or not here, 2 something of it is under way, 3 a timer is near
EMITS     run.hibernated
REPEAT    1
COST      O(size of the runs)
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
local ev, meta, timers, release = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local nonce, least_ms, RUNS_AT = ARGV[2], tonumber(ARGV[3]), 3
local count = #ARGV - RUNS_AT
local BUSY = { a = true, k = true, m = true, g = true }
local FIELDS_MAX = 1000

if not open_partition(meta, ARGV[1]) then
  return { -100 }
end

-- The values of these fields, however many.
local function read(run, fields)
  local values = {}
  for from = 1, #fields, FIELDS_MAX do
    local to = math.min(from + FIELDS_MAX - 1, #fields)
    local part = redis.call("HMGET", run, unpack(fields, from, to))
    for i = 1, to - from + 1 do
      values[from + i - 1] = part[i]
    end
  end
  return values
end

-- Whether every token of the run waits, and at least one does. Tokens of rounds that are over do
-- not count, whatever somebody is still doing with them.
local function is_idle(run, tokens)
  local parked = false
  for _, record in ipairs(read(run, tokens)) do
    local state, _, scope = parse_record(record)
    if BUSY[state] or state == "w" or state == "r" then
      if scope_is_current(run, scope) then
        if BUSY[state] then
          return false
        end
        parked = true
      end
    end
  end
  return parked
end

local function hibernate(run_id, run, maps)
  local have = redis.call("HMGET", run, "s", "e")
  if have[1] ~= "running" then
    return 1
  end
  local tokens, armed = {}, {}
  for _, field in ipairs(redis.call("HKEYS", run)) do
    local kind = string.match(field, "^([nd])%d+$")
    if kind == "n" then
      tokens[#tokens + 1] = field
    elseif kind == "d" then
      armed[#armed + 1] = field
    end
  end
  if redis.call("EXISTS", maps) == 1 or not is_idle(run, tokens) then
    return 2
  end
  local members, due = read(run, armed), nil
  members[#members + 1] = timer_member("run", run_id, have[2], "", "", "", "")
  for i = 1, #members do
    local score = tonumber(redis.call("ZSCORE", timers, members[i]) or nil)
    due = score and math.min(due or score, score) or due
  end
  if due and due - now_ms < least_ms then
    return 3
  end
  journal('{"r":"' .. run_id .. '","e":"run.hibernated"'
    .. (due and ',"due":' .. string.format("%.0f", due) or "") .. "}")
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
  replies[i + 1] = hibernate(ARGV[RUNS_AT + i], KEYS[4 + i], KEYS[4 + count + i])
end
close_partition(ev, meta, nonce)
return replies
