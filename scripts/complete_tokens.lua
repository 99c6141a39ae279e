--[[
complete_tokens -- settle a batch of finished tokens and hand their successors on.

Atomic because a token's result, the arrivals at joins, the successors' entries, the counter and
the journal must change together: split them and a crash loses a branch or runs it twice.

KEYS
  1  ev        stream  gv:{p}:ev          journal, appends
  2  meta      hash    gv:{p}:meta        epoch, tail; reads and writes
  3  timers    zset    gv:{p}:timers      retries, delays; writes
  4  halted    zset    gv:{p}:halted      runs that ended badly; writes
  5  release   zset    gv:{p}:release     runs whose keys may go; writes
  6+ runs      hash    gv:{p}:run:<id>    one per distinct run of the batch; reads and writes
  .. queues    stream  gv:{p}:q:*         of the batch's workflows; appends, acknowledges
ARGV
  1  epoch     partition epoch
  2  nonce     random, names this call's journal record
  3  profiles  number of workflow profiles; each is: ir, flags (o output template, t timeout),
               queue_base (its queue q is KEYS[queue_base + q])
  .. items     number of items; each is
       key, run, epoch, profile, own_queue, entry_id ("" none), results; and per result (the first
       is the token, the others pure nodes evaluated after it in the same step)
         node, scope, attempt, op and edges in one, value, extra, rest,
         plain effects: count, then node, queue each; others: count, then
           type, node, depth, suffix, queue, position, need, arity each
     op      C completed, A completed and another round follows, F failed and handled, U failed
             unhandled under `continue`, X failed unhandled: the run ends, R retry, P park, S spread
             a skip
     rest    delay_ms (A, R, P), else the closure "|join=effect;effect|": what follows when that join
             is skipped; read only then
     effects plain: activate at top level. type: T activate, F the next result of this item, G next
             round, E loop ends, L D X arrival at a join (live, dead, failed)
RETURNS array
  1  0, or -100 EPOCH
  2+ per item: 0 done, 1 done and the run waits for finish_run, -1 RUN_GONE, -2 RUN_EPOCH,
     -3 TOKEN_NOT_ACTIVE, -4 ATTEMPT_STALE, -5 PLAN_FAILED (unchanged, not acknowledged),
     -6 APPLY_FAILED (run marked suspect in the journal)
EMITS     node.* join.decided loop.round run.completed run.failed run.finishing
REPEAT    a repeated item is refused by the token's record (-3) and acknowledged
COST      O(effects); a cascade over WORK_MAX arrivals goes on in a token of its own
]]
--- @include "partition"
--- @include "scope"
--- @include "token"
--- @include "run_end"
local k = { ev = KEYS[1], meta = KEYS[2], timers = KEYS[3], halted = KEYS[4], release = KEYS[5] }
local nonce = ARGV[2]
local GROUP, WORK_MAX, PAYLOAD_INLINE_MAX, FINISH_GRACE_MS = "workers", 1000, 4096, 30000

if not open_partition(k.meta, ARGV[1]) then
  return { -100 }
end

--- @include "complete_plan"
--- @include "complete_apply"

local replies, acks, at = { 0 }, {}, 4 + 3 * tonumber(ARGV[3])
local item_count = tonumber(ARGV[at])
at = at + 1
for i = 1, item_count do
  local planned, code = pcall(plan_item, at)
  if not planned then
    redis.log(redis.LOG_WARNING, "gavotte: item of run " .. it.run_id .. " not planned: " .. tostring(code))
    code = -5
  elseif code == 0 then
    local applied, reply = pcall(apply_plan)
    code = applied and reply or -6
    if not applied then
      -- Frozen: nothing is accepted for it until the supervisor has rebuilt it from the journal.
      pcall(redis.call, "HSET", it.run, "s", "suspect")
      journal('{"r":"' .. it.run_id .. '","e":"run.suspect"}')
      redis.log(redis.LOG_WARNING, "gavotte: run " .. it.run_id .. " is suspect: " .. tostring(reply))
    end
  elseif code == 1 then
    code = 0
  end
  replies[i + 1] = code
  local entry_id = ARGV[at + 5]
  if entry_id ~= "" and code ~= -5 then
    local queue = own_queue(at)
    local ids = acks[queue] or {}
    acks[queue] = ids
    ids[#ids + 1] = entry_id
  end
  at = next_item(at)
end

close_partition(k.ev, k.meta, nonce)
for queue, ids in pairs(acks) do
  redis.call("XACK", queue, GROUP, unpack(ids))
  redis.call("XDEL", queue, unpack(ids))
end
return replies
