--[[
resume_run -- a paused run goes on: what was held for it is queued, at most so much per call.

Atomic because the status is `running` before the first entry leaves the list (what becomes ready
from then on is queued at once), and an entry leaves the list in the call that queues it.

KEYS
  1  ev        stream  gv:{p}:ev               journal, appends
  2  meta      hash    gv:{p}:meta             epoch, tail; reads and writes
  3  halted    zset    gv:{p}:halted           writes
  4  paused    zset    gv:{p}:paused           score 0 while something is still held, then removes
  5  run       hash    gv:{p}:run:<id>         reads and writes
  6  held      list    gv:{p}:run:<id>:held    removes
  7  timers    zset    gv:{p}:timers           of tokens that may not stand in their queue for long; writes
  8+ queues    stream  gv:{p}:q:*              those named by the first entries held; appends
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  run_id    run
  4  cause     r its own pause, w its workflow's, e errors, p its parent's, "" only go on with what is held
  5  note      members for the journal: ,"by":…,"why":… or ""
  6  max       entries to queue, 1 to 500
RETURNS array
  {0, left} goes on, so many entries are still held: call again until 0,
  {1, causes} still paused for another cause, {2, causes} not paused for this cause,
  {-1} RUN_GONE, {-2, status} it is not paused, {-100} EPOCH
EMITS     run.resumed
REPEAT    goes on with what is held; {-2, running} when nothing is
COST      O(max)
]]
--- @include "partition"
--- @include "token"
--- @include "late"
local ev, meta, halted, paused, run, held = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local nonce, run_id, cause, note, max = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])

if not open_partition(meta, ARGV[1]) then
  return { -100 }
end
local have = redis.call("HMGET", run, "s", "ps")
local status, causes = have[1], have[2] or ""
if not status then
  return { -1 }
elseif status == "paused" then
  local at = cause ~= "" and string.find(causes, cause, 1, true)
  if not at then
    return { 2, causes }
  end
  causes = string.sub(causes, 1, at - 1) .. string.sub(causes, at + 1)
  journal('{"r":"' .. run_id .. '","e":"run.resumed","ps":"' .. causes .. '"' .. note .. "}")
  if causes ~= "" then
    redis.call("HSET", run, "ps", causes)
    close_partition(ev, meta, nonce)
    return { 1, causes }
  end
  redis.call("HSET", run, "s", "running")
  redis.call("HDEL", run, "ps")
  -- Of what was held some may have been cancelled meanwhile: workers look at the records.
  redis.call("ZADD", halted, now_ms, run_id)
  close_partition(ev, meta, nonce)
elseif status ~= "running" or redis.call("EXISTS", held) == 0 then
  if status == "running" then
    redis.call("ZREM", paused, run_id)
  end
  return { -2, status }
end

-- Its time in the queue begins now. The hash of an element follows from its run's.
local function arm(queue, packed)
  local part = "([^\31]*)\31"
  local unit, epoch, node, scope, tried, _, kind = string.match(packed, "^" .. string.rep(part, 7))
  local hash = string.sub(run, 1, #run - #run_id) .. unit
  local fields = redis.call("HMGET", hash, "qt", "n" .. node)
  local ms = (kind == "" or kind == "r") and fields[2] and late_ms(fields[1], node)
  if not ms then
    return
  end
  local state, attempt, at = parse_record(fields[2])
  if state == "a" and attempt == tonumber(tried) and at == scope then
    arm_late(KEYS[7], hash, ms, late_member(unit, epoch, node, scope, tried, queue), node)
    if unit ~= run_id then
      redis.call("HSET", hash, "x", 1)
    end
  end
end

local declared = {}
for i = 8, #KEYS do
  declared[KEYS[i]] = true
end
local items, count = redis.call("LRANGE", held, 0, max - 1), 0
for i = 1, #items do
  local border = string.find(items[i], "\30", 1, true)
  local queue = string.sub(items[i], 1, border - 1)
  if not declared[queue] then
    break
  end
  redis.call("XADD", queue, "*", "t", string.sub(items[i], border + 1))
  arm(queue, string.sub(items[i], border + 1))
  count = i
end
redis.call("LTRIM", held, count, -1)
local left = redis.call("LLEN", held)
if left == 0 then
  redis.call("ZREM", paused, run_id)
else
  redis.call("ZADD", paused, 0, run_id)
end
return { 0, left }
