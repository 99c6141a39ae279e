--[[
complete_simple -- the common cases in as few words as possible: tokens of one run that completed at
top level on their first attempt.

step    one token that leads to one other and changes nothing else. `kept`: of a chain, the caller
        goes on with it.
group   tokens of one run that lead to plain activations or to arrivals at joins that wait for all:
        read with one HMGET and written with one HSET.

What is written comes as it is to stand there; only joins and the end of a run are worked out.
Whatever is out of the ordinary (a paused run, another epoch, a record that is not a fresh token's,
a join that a failure reached or that is to be skipped, a takeover since the caller got a chain's
entry) changes nothing and is answered with NOT_SIMPLE: the caller sends it again in the general
form, and with it all that comes after it of this run, so that a run's items keep their order.
]]
local NOT_SIMPLE, FRESH, STEP, KEPT = -8, "a1||", -1, -2
-- Where an error struck: before the first write (the item is bounced) or after (the run is frozen).
local is_writing = false
-- Runs of which something has to come again.
local bounced = {}

-- Whether a record is that of a token on its first attempt at top level.
local function is_fresh(record)
  return record == FRESH or (record and string.sub(record, 1, 4) == FRESH)
end

-- step: form, key, epoch, field, record, journal text, next field; unless kept: queue (place in
-- KEYS), entry, entry_stream, entry_id. Returns where it ends.
local function settle_step(at, form)
  local run, field = KEYS[ARGV[at + 1]], ARGV[at + 3]
  local have = redis.call("HMGET", run, "s", "e", field)
  local is_usual = is_fresh(have[3]) and have[1] == "running" and have[2] == ARGV[at + 2]
    and not bounced[run] and (form == STEP or takeovers == seen_takeovers)
  if not is_usual then
    bounced[run] = true
    tell(NOT_SIMPLE, "", "", false)
  else
    it.run = run
    is_writing = true
    redis.call("HSET", run, field, ARGV[at + 4], ARGV[at + 6], FRESH)
    journal(ARGV[at + 5])
    if form == STEP then
      redis.call("XADD", KEYS[ARGV[at + 7]], "*", "t", ARGV[at + 8])
      tell(0, KEYS[ARGV[at + 9]], ARGV[at + 10], true)
    else
      tell(2, "", "", false)
    end
    is_writing = false
  end
  return at + (form == STEP and 11 or 7)
end

-- What a join or the run's end need to know of the run.
local is_named = false
local function name_run(epoch)
  is_named = true
  it.run_id = string.sub(it.run, #k.ev + 3)
  it.told = '{"r":"' .. it.run_id .. '","e":"'
  it.packed = it.run_id .. "\31" .. epoch .. "\31"
end

-- Whether the arrivals at `at` can be worked out here; returns also where they end.
local function can_arrive(at)
  local count, usual = ARGV[at], true
  if count > 0 and not is_named then
    name_run(it.epoch)
  end
  for from = at + 1, at + 5 * count, 5 do
    local position, arity = ARGV[from + 3], ARGV[from + 4]
    local join = read_join(ARGV[from + 1], "", arity)
    local is_skipped = join.decided + 1 == arity and join.live == 0 and ARGV[from] == "D"
    usual = usual and join.live >= 0 and join.failed == 0 and not is_skipped
      and string.byte(join.arrivals, position + 1) == 46
  end
  return usual, at + 1 + 5 * count
end

-- Plans the group's item at `at`, if its record is a fresh token's: whether it did, where it ends.
local function plan_simple(at, field, record)
  local extras, emits_at = ARGV[at + 6], at + 7 + 2 * ARGV[at + 6]
  local emits = ARGV[emits_at]
  local usual, stop = can_arrive(emits_at + 1 + 3 * emits)
  if not usual or not is_fresh(record) then
    return false, stop
  end
  it.own_queue = KEYS[ARGV[at]]
  set(field, ARGV[at + 3])
  event_count = event_count + 1
  events[event_count] = ARGV[at + 4]
  delta = delta + ARGV[at + 5]
  for from = at + 7, at + 5 + 2 * extras, 2 do
    set(ARGV[from], ARGV[from + 1])
  end
  for from = emits_at + 1, emits_at + 3 * emits, 3 do
    set(ARGV[from], FRESH)
    entry_count = entry_count + 1
    queues[entry_count], entries[entry_count] = KEYS[ARGV[from + 1]], ARGV[from + 2]
  end
  for from = emits_at + 2 + 3 * emits, stop - 1, 5 do
    arrive("", "", ARGV[from], ARGV[from + 1], 0, "", ARGV[from + 2], ARGV[from + 3], 0, ARGV[from + 4])
  end
  return true, stop
end

-- Where the group's item at `at` ends.
local function after_simple(at)
  at = at + 7 + 2 * ARGV[at + 6]
  at = at + 1 + 3 * ARGV[at]
  return at + 1 + 5 * ARGV[at]
end

-- Plans the group's items: how many of them.
local function plan_group(have, at, size)
  begin_plan(have[4])
  it.up = have[5]
  local planned, is_done, from = 0, nil, at + size
  for i = 0, size - 1 do
    is_done, from = plan_simple(from, ARGV[at + i], have[6 + i])
    if not is_done then
      break
    end
    planned = planned + 1
  end
  end_plan(have[3])
  if it.ends and not is_named then
    name_run(it.epoch)
  end
  return planned
end

-- group: its size, key, profile, epoch, the fields of its items' tokens; and per item own queue,
-- entry_stream (places in KEYS), entry_id, record, journal text, change of the counter, more fields:
-- count, then field, value each; activations: count, then field, queue (place in KEYS), entry each;
-- arrivals: count, then value (L, D), node, queue, position, arity each. Returns where it ends.
local function settle_group(at)
  local size, run, profile = ARGV[at], KEYS[ARGV[at + 1]], 3 * ARGV[at + 2]
  local epoch, fields_at = ARGV[at + 3], at + 4
  at = fields_at + size
  it.run, it.epoch = run, epoch
  it.ir, it.flags, it.queue_base = ARGV[profile], ARGV[profile + 1], ARGV[profile + 2]
  it.element, it.gathered, it.cancels, it.is_paused = nil, nil, nil, false
  local have = not bounced[run]
    and redis.call("HMGET", run, "s", "e", "c", "nf", "up", unpack(ARGV, fields_at, at - 1))
  local planned, ended = 0, 0
  if have and have[1] == "running" and have[2] == epoch then
    is_named = false
    planned = plan_group(have, fields_at, size)
  end
  if planned > 0 then
    is_writing = true
    ended = apply_plan(false)
    is_writing = false
  end
  bounced[run] = bounced[run] or planned < size
  for i = 1, size do
    if i > planned then
      tell(NOT_SIMPLE, "", "", false)
    else
      tell(i == planned and ended or 0, KEYS[ARGV[at + 1]], ARGV[at + 2], true)
    end
    at = after_simple(at)
  end
  return at
end

-- An error struck the step or group at `at`: answers for all of it; returns where it ends.
local function give_up(at, reason)
  local size, reply, run = 1, NOT_SIMPLE, KEYS[ARGV[at + 1]]
  local stop = at + (ARGV[at] == STEP and 11 or 7)
  if ARGV[at] > 0 then
    size, stop = ARGV[at], at + 4 + ARGV[at]
    for _ = 1, size do
      stop = after_simple(stop)
    end
  end
  bounced[run] = true
  if is_writing then
    it.run, is_writing, reply = run, false, -6
    name_run("")
    freeze(reason)
  end
  for _ = 1, size do
    tell(reply, "", "", false)
  end
  return stop
end
