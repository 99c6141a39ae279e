--[[
complete_tokens -- settle a batch of finished tokens and hand their successors on.

Atomic because a token's result, the arrivals at joins, the successors' entries, the counter and
the journal must change together: split them and a crash loses a branch or runs it twice.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      retries, delays; writes, removes
  4  halted    zset    gv:{p}:halted      runs that ended badly; writes
  5  release   zset    gv:{p}:release     runs and maps whose keys may go; writes
  6+ runs      hash    gv:{p}:run:<id>    one per distinct run of the batch; reads and writes; of a
                                          paused one the list `held`, appends; for elements of maps
                                          also what is around them, up to the run. The next
                                          element's key, and the queue of the map's node, follow
                                          from these (include/unit.lua)
  .. queues    stream  gv:{p}:q:*         of the batch's workflows; appends, acknowledges. The one that
                                          every worker reads follows from these (include/queue_of_all.lua)
  .. signals   hash    gv:{p}:run:<id>:signals  of runs with a token that is parked (W)
  .. entries   stream  gv:{p}:q:*:new     where entry nodes' tokens stand; acknowledges
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  consumer  who calls: the owner of the items' entries, unless they were taken over
  4  packed    the batch, a MessagePack array, flat:
       how many takeovers the caller knew of when it got the entries of its kept chains; number of
       workflow profiles; each is: ir, flags (o output template, t timeout, then queue timeouts, see
         include/late.lua), queue_base (its queue q is KEYS[queue_base + q])
       then the items:
       the short forms of include/complete_simple.lua (-1 and -2 a step, -3 a last one, -4 to -6
       the same with more to write, above 0 the size of a group) or
       0, key (negative: of an element), run (unit), epoch, profile, own_queue (of the token's
       node), entry_stream (place in KEYS), entry_id ("" none; "+" before it: a chain, the
       caller goes on with the one token that this item activates, on the same entry, unless the
       run is paused), results; and per result (the first is the token, the others pure nodes
       evaluated after it in the same step)
         node, scope, attempt, op and edges in one, value, extra, rest,
         plain effects: count, then node, queue each; others: count, then
           type, node, depth, suffix, queue, position, need, arity each
  5  text      the journal's text of all short forms: a JSON array
     op      C completed, A completed and another round follows, F failed and handled, U failed
             unhandled under `continue`, X failed unhandled: the run or the element ends, R retry, P
             park for a time (value "again": by who was resumed in this attempt; "held": it begins
             anew after that), W park until resumed (value: JSON of what it waits for), S spread a
             skip; the same in lower case: of a map that has its results. Z the evaluated output of
             an element (edges L), or why there is none (X)
     rest    delay_ms (A, R, P), timeout_ms and more (W: see plan_wait), else the closure
             "|join=effect;effect|": what follows when that join is skipped, and what it cancels
             when it fires (include/complete_losers.lua); read only then
     effects plain: activate at top level. type: T activate, F the next result of this item, G next
             round, E loop ends, L D X arrival at a join (live, dead, failed)
RETURNS array
  1  takeovers in this partition so far, or -100 EPOCH
  2+ per item: 0 done, 1 done and the run waits for finish_run (an element: for Z), 2 done and the chain goes on, 3 done
     and somebody else goes on with the chain (he has the entry), -1 RUN_GONE, -2 RUN_EPOCH,
     -3 TOKEN_NOT_ACTIVE, -4 ATTEMPT_STALE, -5 PLAN_FAILED (unchanged, not acknowledged),
     -6 APPLY_FAILED (run marked suspect in the journal), -7 ENTRY_YOURS (refused like -3 and -4,
     but the entry is the caller's: it may stand for a later token of a chain by now), -8
     NOT_SIMPLE (unchanged: send it in its general form)
EMITS     node.* join.decided loop.round run.completed run.failed run.finishing run.suspect
          element.finishing map.element map.gather
REPEAT    a repeated item is refused by the token's record (-3). A refused or empty item
          acknowledges only what the caller owns, or what is of a run that is over: the entry may
          stand for a token that its new owner is at (21 A11)
COST      O(effects); a cascade over WORK_MAX arrivals, or what the closure has, goes on in a token of its
          own, which any worker reads. An element's
          end: O(entries of the body), and O(its fields) if it armed timers. A join that cancels its
          losers: O(nodes of its branches)
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "waiters"
--- @include "late"
--- @include "run_end"
--- @include "held"
--- @include "unit"
--- @include "fields"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5],
  ended = {} }
local nonce, consumer = ARGV[2], ARGV[3]
local packed, text = ARGV[4], ARGV[5]
local PLUS, OUTPUT, EMPTY, VOID = 43, 90, 9, -9
local GROUP, WORK_MAX, PAYLOAD_INLINE_MAX, FINISH_GRACE_MS = "workers", 1000, 4096, 10000

if not open_partition(k.meta, ARGV[1]) then
  return { -100 }
end
local ARGV = cmsgpack.unpack(packed)

--- @include "map_gather"
--- @include "element_start"
--- @include "complete_plan"
--- @include "complete_apply"
--- @include "entry_owner"
--- @include "settle_entries"

-- The item's run, and whatever else was told of since there were `from` transitions: its end may have
-- been on its way to a parent.
local function freeze(from, reason)
  local runs = told_runs(from)
  runs[string.match(it.run_id, "^[^!]*")] = true
  suspect(runs, reason)
end

local replies, reply_count, acks = { takeovers }, 1, {}

local function tell(reply, stream, entry_id, is_settled)
  if is_settled and entry_id ~= "" then
    local ids = acks[stream]
    if not ids then
      ids = {}
      acks[stream] = ids
    end
    ids[#ids + 1] = entry_id
  end
  -- Last: an error before this leaves the item without a reply, so that give_up gives it one.
  reply_count = reply_count + 1
  replies[reply_count] = reply
end

local seen_takeovers = ARGV[1]
--- @include "complete_simple"

-- One item: what to reply, and whether its entry is to be acknowledged.
local function settle_item(at, entry_id, keeps)
  local planned, code = pcall(plan_item, at)
  if not planned then
    redis.log(redis.LOG_WARNING, "gavotte: item of run " .. it.run_id .. " not planned: " .. tostring(code))
    return -5, false
  elseif code == EMPTY or code == -3 or code == -4 then
    local is_owner = entry_id ~= "" and owned_deliveries(entry_stream(at), entry_id) ~= nil
    if code == EMPTY then
      return 0, is_owner
    end
    return is_owner and -7 or code, false
  elseif code < 0 then
    return code == VOID and -3 or code, true
  end
  -- it.cancels: it waited for a retry, so its entry is acknowledged and nobody has the chain.
  keeps = keeps and entry_count == 1 and not it.is_paused and not it.ends and not it.cancels
  local from = record_count
  local applied, reply = pcall(apply_plan, keeps)
  if not applied then
    freeze(from, reply)
    return -6, true
  elseif keeps then
    return keep_entry(entry_stream(at), entry_id) and 2 or 3, false
  end
  return reply, true
end

-- Settles the item at `at` in its general form; returns where it ends.
local function settle_general(at)
  local entry_id, run = ARGV[at + 6], KEYS[math.abs(ARGV[at])]
  local keeps = string.byte(entry_id, 1) == PLUS
  if keeps then
    entry_id = string.sub(entry_id, 2)
  end
  if bounced[run] then
    tell(NOT_SIMPLE, "", "", false)
  else
    local reply, is_settled = settle_item(at, entry_id, keeps)
    tell(reply, entry_stream(at), entry_id, is_settled)
  end
  return next_item(at)
end

local at, last = 3 + 3 * ARGV[2], #ARGV

local function settle_all()
  while at <= last do
    local form = ARGV[at]
    if form < 0 then
      at = settle_short(at)
    elseif form > 0 then
      at = settle_group(at)
    else
      at = settle_general(at + 1)
    end
  end
end

repeat
  local is_done, reason = pcall(settle_all)
  if not is_done then
    at = give_up(at, reason)
  end
until is_done

close_record()
if #k.ended > 0 then
  redis.call("ZADD", k.release, unpack(k.ended))
end
for queue, ids in pairs(acks) do
  settle_entries(queue, ids)
end
return replies
