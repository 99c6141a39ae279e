--[[
complete_simple -- the common cases in as few words as possible: tokens of one run that completed at
top level on their first attempt.

step    one token that leads to one other and changes nothing else. `kept`: of a chain, the caller
        goes on with it.
last    one token that leads nowhere, of a workflow that has no other such node: mostly the run ends.
wide    either of them with the results of pure nodes that were evaluated after it.
group   tokens of one run that lead to plain activations or to arrivals at joins that wait for all:
        read with one HMGET and written with one HSET.

What is written comes as it is to stand there; only joins and the end of a run are worked out. The
transitions of all of them come as one text, of which each names its length: what is accepted in a
row is journalled as one piece, and no string is made of each.
Whatever is out of the ordinary (a paused run, another epoch, a record that is not a fresh token's,
a join that a failure reached or that is to be skipped, a takeover since the caller got a chain's
entry) changes nothing of its step or group and is answered with NOT_SIMPLE: the caller sends it
again in the general form, and with it all that comes after it of this run, so that a run's items
keep their order.
]]
local NOT_SIMPLE, PLAN_FAILED, FRESH, STEP, LAST, RUN_FIELDS = -8, -5, "a1||", -1, -3, 5
-- How many places a form below 0 takes. A wide one is so far below it; behind its places stand how many
-- fields and values are written beside the token's own, and these.
local PLACES, WIDE = { [-1] = 11, [-2] = 7, [-3] = 10 }, 3
-- Where an error struck: nil before the first write (the item is bounced), else how many transitions
-- were told of by then (the run is frozen).
local writing_from
-- Runs of which something has to come again.
local bounced = {}

-- Whether a record is that of a token on its first attempt at top level.
local function is_fresh(record)
  return record == FRESH or (record and string.sub(record, 1, 4) == FRESH)
end

-- Where the next transitions begin in `text`, behind its bracket; the piece that is being journalled, and
-- its place.
local text_at, piece_from, piece_to, piece_place = 2, 1, 0, 0

local function cut_piece()
  if piece_place > 0 then
    records[piece_place] = string.sub(text, piece_from, piece_to)
  end
end

-- Appends the call's record. Where it is just the text that was sent, it is passed on as it came: Redis'
-- Lua hashes every string that it makes to its last byte, and this would be the longest by far.
local function close_record()
  local is_whole = record_count == 1 and piece_place == 1 and piece_from == 2 and piece_to == #text - 1
  if not is_whole then
    cut_piece()
  end
  local is_closed, reason = pcall(close_partition, k.ev, k.meta, nonce, is_whole and text)
  if not is_closed then
    cut_piece() -- whoever repairs it reads it there
    error(reason, 0)
  end
end

-- The next `bytes` of the text: where they begin. A separator stands between two (",\n").
local function next_text(bytes)
  local from = text_at
  text_at = from + bytes + 2
  return from
end

-- Journals what begins at `from`, in one piece with what was journalled just before if they are
-- neighbours in the text, too.
local function journal_text(from, bytes)
  if piece_place ~= record_count or piece_to + 3 ~= from then
    cut_piece()
    record_count = record_count + 1
    piece_place, piece_from = record_count, from
  end
  piece_to = from + bytes - 1
end

-- Where a form below 0 at `at` ends, and, if it is wide, where what it writes besides begins.
local function after_form(at)
  local form = ARGV[at]
  if form >= LAST then
    return at + PLACES[form]
  end
  local extras = at + PLACES[form + WIDE] + 1
  return extras + ARGV[extras - 1], extras
end

-- step: form, key, epoch, bytes of its transitions, field, record, next field; unless kept: queue
-- (place in KEYS), entry, entry_stream, entry_id. `extras`: of a wide one, up to `stop`.
local function settle_step(at, form, stop, extras)
  local run, bytes, field = KEYS[ARGV[at + 1]], ARGV[at + 3], ARGV[at + 4]
  local from = next_text(bytes)
  local have = redis.call("HMGET", run, "s", "e", field)
  local is_usual = is_fresh(have[3]) and have[1] == "running" and have[2] == ARGV[at + 2]
    and not bounced[run] and (form == STEP or takeovers == seen_takeovers)
  if not is_usual then
    bounced[run] = true
    tell(NOT_SIMPLE, "", "", false)
  else
    it.run = run
    writing_from = record_count
    if extras then
      redis.call("HSET", run, field, ARGV[at + 5], ARGV[at + 6], FRESH, unpack(ARGV, extras, stop - 1))
    else
      redis.call("HSET", run, field, ARGV[at + 5], ARGV[at + 6], FRESH)
    end
    journal_text(from, bytes)
    if form == STEP then
      redis.call("XADD", KEYS[ARGV[at + 7]], "*", "t", ARGV[at + 8])
      tell(0, KEYS[ARGV[at + 9]], ARGV[at + 10], true)
    else
      tell(2, "", "", false)
    end
    writing_from = nil
  end
end

--- @include "complete_last"

-- Settles a form below 0; returns where it ends.
local function settle_short(at)
  local form = ARGV[at]
  local stop, extras = after_form(at)
  form = extras and form + WIDE or form
  if form == LAST then
    settle_last(at, stop, extras)
  else
    settle_step(at, form, stop, extras)
  end
  return stop
end

-- What a join or the run's end need to know of the run.
local is_named = false
local function name_run(epoch)
  is_named = true
  it.run_id = string.sub(it.run, #k.ev + 3)
  it.told = '{"r":"' .. it.run_id .. '","e":"'
  it.packed = it.run_id .. "\31" .. epoch .. "\31"
end

-- Plans the arrivals at a join whose field is `stored`: whether they can be worked out here, and
-- where they end.
local function plan_join(at, stored)
  local node, arity, lives, decided = ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local stop, join = at + 6 + 2 * ARGV[at + 5], read_join(node, "", arity, stored)
  local is_complete = join.decided + decided == arity
  if join.live < 0 or join.failed > 0 or (is_complete and join.live + lives == 0) then
    return false, stop
  end
  for from = at + 6, stop - 2, 2 do
    if not splice(join, ARGV[from], ARGV[from + 1]) then
      return false, stop
    end
  end
  join.decided, join.live, delta = join.decided + decided, join.live + lives, delta + lives
  if is_complete then
    if not is_named then
      name_run(it.epoch)
    end
    fire(join, node, 0, "", "", ARGV[at + 1])
  end
  return true, stop
end

-- Whether all tokens of a group are on their first attempt.
local function are_fresh(have, size)
  for i = RUN_FIELDS + 1, RUN_FIELDS + size do
    if not is_fresh(have[i]) then
      return false
    end
  end
  return true
end

-- Plans what a group writes, which stands at `at`: whether all of it can be worked out here. In
-- `have` the joins' fields begin behind `last`.
local function plan_group(have, last, at, change)
  begin_plan(have[4])
  it.up, delta, field_count = have[5], change, ARGV[at]
  for i = 1, field_count do
    fields[i] = ARGV[at + i]
  end
  at = at + 1 + field_count
  entry_count = ARGV[at]
  for i = 1, entry_count do
    queues[i], entries[i] = KEYS[ARGV[at + 2 * i - 1]], ARGV[at + 2 * i]
  end
  at = at + 1 + 2 * entry_count
  local join_count, is_usual = ARGV[at], true
  at = at + 1
  for i = 1, join_count do
    is_usual, at = plan_join(at, have[last + i])
    if not is_usual then
      return false
    end
  end
  end_plan(have[3])
  if it.ends and not is_named then
    name_run(it.epoch)
  end
  return true
end

-- Where the group at `at` ends.
local function after_group(at)
  at = at + 8 + 2 * ARGV[at] + ARGV[at + 7]
  at = at + 1 + ARGV[at]
  at = at + 1 + 2 * ARGV[at]
  local join_count = ARGV[at]
  at = at + 1
  for _ = 1, join_count do
    at = at + 6 + 2 * ARGV[at + 5]
  end
  return at
end

-- group: its size, key, profile, epoch, bytes of its transitions, change of the counter, own queue of
-- its last item (place in KEYS), how many fields it reads, these: its items' tokens, then its joins;
-- entry_stream and entry_id of each item; what it writes: count of fields and values, then these;
-- activations: count, then queue, entry each; joins: count, then node, queue, arity, live arrivals, all
-- arrivals, and how many stretches of in-edges: first position and values (L, D) each. Returns where
-- it ends.
local function settle_group(at)
  local size, run, profile, epoch = ARGV[at], KEYS[ARGV[at + 1]], 3 * ARGV[at + 2], ARGV[at + 3]
  local bytes, reads = ARGV[at + 4], ARGV[at + 7]
  local from, entry = next_text(bytes), at + 8 + reads
  it.run, it.epoch, it.own_queue, is_named = run, epoch, KEYS[ARGV[at + 6]], false
  it.ir, it.flags, it.queue_base = ARGV[profile], ARGV[profile + 1], ARGV[profile + 2]
  it.element, it.gathered, it.cancels, it.is_paused = nil, nil, nil, false
  local have = not bounced[run]
    and redis.call("HMGET", run, "s", "e", "c", "nf", "up", unpack(ARGV, at + 8, at + 7 + reads))
  local is_usual = have and have[1] == "running" and have[2] == epoch and are_fresh(have, size)
    and plan_group(have, RUN_FIELDS + size, entry + 2 * size, ARGV[at + 5])
  local others, last = NOT_SIMPLE, NOT_SIMPLE
  if is_usual then
    writing_from = record_count
    journal_text(from, bytes)
    others, last = 0, apply_plan(false)
    writing_from = nil
  else
    bounced[run] = true
  end
  for i = 1, size do
    tell(i == size and last or others, KEYS[ARGV[entry]], ARGV[entry + 1], is_usual)
    entry = entry + 2
  end
  return after_group(at)
end

-- An error struck what stands at `at`: answers for all of it; returns where it ends. In an item in its
-- general form it struck outside its plan and its writes, which catch their own: as if not planned,
-- so its entry stays.
local function give_up(at, reason)
  local form, size, reply = ARGV[at], 1, NOT_SIMPLE
  local run, stop = KEYS[math.abs(ARGV[at + 1])], nil
  if form > 0 then
    size, stop = form, after_group(at)
  elseif form == 0 then
    redis.log(redis.LOG_WARNING, "gavotte: item of " .. run .. " given up: " .. tostring(reason))
    reply, stop = PLAN_FAILED, next_item(at + 1)
  else
    stop = after_form(at)
  end
  bounced[run] = true
  if writing_from then
    it.run, reply = run, -6
    name_run("")
    freeze(writing_from, reason)
    writing_from = nil
  end
  for _ = 1, size do
    tell(reply, "", "", false)
  end
  return stop
end
