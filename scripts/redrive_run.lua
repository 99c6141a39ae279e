--[[
redrive_run -- a run that had failed lives again, in the state that its journal was folded to.

Atomic because hash, tokens, timers and the journal's word for it belong together. The run's keys
are released by then, so whether a redrive may still write must be told otherwise: it carries an
epoch that Postgres has given to it alone and a deadline; the first of an attempt leaves the attempt's
number behind for longer than that, and no other is that attempt (21 A9, B8).

KEYS
  1  ev        stream  gv:{p}:ev                       journal, appends
  2  meta      hash    gv:{p}:meta                     epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers                   writes
  4  release   zset    gv:{p}:release                  removes
  5  redriven  string  gv:{p}:run:<id>:redriven        attempt of the last redrive; reads and writes
  6  run       hash    gv:{p}:run:<id>                 creates
  7  signals   hash    gv:{p}:run:<id>:signals         creates
  8  paused    zset    gv:{p}:paused                   writes, when its workflow is paused
  9  blobs     hash    gv:{p}:run:<id>:blobs           creates
 10  staged    hash    gv:{p}:run:<id>:staged:<random> its blobs, to expire; becomes KEYS[9]
 11+ queues    stream  gv:{p}:q:*                      of its nodes, then the one that every
                                                       worker reads; appends
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  run_id    run
  4  run_epoch its new epoch
  5  not_after_ms  Redis time after which this is refused
  6  keep_ms   how long its epoch is left behind
  7  timeout_ms    of the run, 0 none
  8  told      the transition run.redriven, JSON
  9  pause     w: its workflow is paused, so it goes on paused; "" it is not
 10  attempt   which attempt of the run this is
 11+ fields    number of texts, then field, value each; the same for the signals hash
  .. timers    number of texts, then due, member each
  .. entries   number of texts, then place of the queue in KEYS, packed each
RETURNS array
  {0} goes on, {-10, status} it is still there: released soon, or lives, {-11} this attempt was begun by
  another, {-12} TOO_LATE, {-100} EPOCH
EMITS     run.redriven run.paused
REPEAT    -10 or -11
COST      O(size of the workflow)
]]
--- @include "partition"
--- @include "token"
--- @include "held"
local ev, meta, timers, release, redriven, run, signals, paused, blobs = unpack(KEYS, 1, 9)
local staged = KEYS[10]
local nonce, run_id, run_epoch, pause = ARGV[2], ARGV[3], ARGV[4], ARGV[9]
local not_after_ms, keep_ms, timeout_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local attempt, HSET_MAX = tonumber(ARGV[10]), 1000

if not open_partition(meta, ARGV[1]) then
  return { -100 }
end
local status = redis.call("HGET", run, "s")
if status then
  return { -10, status }
elseif tonumber(redis.call("GET", redriven) or "0") >= attempt then
  return { -11 }
elseif now_ms > not_after_ms then
  return { -12 }
end

-- Calls visit(first, second) for the pairs of the list at `at`; returns where the next list is.
local function each_pair(at, visit)
  local count = tonumber(ARGV[at])
  for i = at + 1, at + count, 2 do
    visit(ARGV[i], ARGV[i + 1])
  end
  return at + count + 1
end

local function write_hash(key, at)
  local count = tonumber(ARGV[at])
  for from = at + 1, at + count, HSET_MAX do
    redis.call("HSET", key, unpack(ARGV, from, math.min(from + HSET_MAX - 1, at + count)))
  end
  return at + count + 1
end

journal(ARGV[8])
redis.call("SET", redriven, attempt, "PX", keep_ms)
local at = write_hash(run, 11)
if pause ~= "" then
  journal('{"r":"' .. run_id .. '","e":"run.paused","ps":"' .. pause .. '"}')
  redis.call("HSET", run, "s", "paused", "ps", pause)
  redis.call("ZADD", paused, now_ms, run_id)
end
redis.call("HSET", run, "t0", string.format("%.0f", now_ms))
redis.call("UNLINK", signals)
if redis.call("EXISTS", staged) == 1 then
  redis.call("RENAME", staged, blobs)
  redis.call("PERSIST", blobs)
end
at = write_hash(signals, at)
at = each_pair(at, function(due, member)
  redis.call("ZADD", timers, due, member)
end)
each_pair(at, function(place, packed)
  dispatch(pause ~= "", run, KEYS[tonumber(place)], packed)
end)
if timeout_ms > 0 then
  redis.call("ZADD", timers, now_ms + timeout_ms, timer_member("run", run_id, run_epoch, "", "", "", ""))
end
redis.call("ZREM", release, run_id)
close_partition(ev, meta, nonce)
return { 0 }
