/** Breaks of the eight invariants of the token protocol (20 §9). */
import type { Break } from "./break-list.ts";

const PROPERTY = "test/property/engine.test.ts";
const PLAN = "scripts/include/complete_plan.lua";
const ARRIVALS = "scripts/include/complete_arrivals.lua";
const LAST = "scripts/include/complete_last.lua";
const LOSERS = "scripts/include/complete_losers.lua";
const ENTRIES = "scripts/include/settle_entries.lua";
const AUDIT_RUN = "supervisor/audit/audit-run.ts";
const CALM = "engine and oracle: calm";
const ANY = "engine and oracle: any and count joins";

const I1 = "1. The counter equals the tokens in flight, and is never negative";
const I2 = "2. A token is consumed once, a node of a scope activated once";
const I3 = "3. A run ends when nothing is in flight, once, and is finalised once";
const I4 = "4. Every transition is in the journal once, in order; folding it gives the hot state";
const I5 = "5. What was acknowledged to a worker survives processes and Redis";
const I6 = "6. A valid workflow cannot deadlock";
const I7 = "7. What an ended run used in Redis is released";
const I8 = "8. The reference interpreter agrees";

export const INVARIANT_BREAKS: readonly Break[] = [
  {
    ...{ holds: I1, broken: "a token that completes is not taken off the counter" },
    ...{ file: PLAN, find: "    delta = delta - 1\n", replace: "    delta = delta\n" },
    ...{ test: PROPERTY, name: CALM },
  },
  {
    ...{ holds: I1, broken: "tokens inside a round are counted in the run (21 A1)" },
    ...{ file: PLAN, find: 'if kind == "T" then\n      delta = depth == 0 and delta + 1 or delta' },
    replace: 'if kind == "T" then\n      delta = delta + 1',
    ...{ test: PROPERTY, name: CALM },
  },
  {
    ...{ holds: I1, broken: "tokens that wait at a join stay counted when it fires" },
    file: ARRIVALS,
    find: "delta = depth == 0 and delta - (join.live - 1) or delta",
    replace: "delta = delta",
    ...{ test: PROPERTY, name: CALM },
  },
  {
    ...{ holds: I1, broken: "a token that a join had no need of stays counted" },
    file: LOSERS,
    find: 'delta = scope == "" and delta - 1 or delta\n  withdraw(node)\n',
    replace: "withdraw(node)\n",
    test: "sdk/redis/complete-losers.test.ts",
    name: "ends what is open of its branches, tells each, and leaves one token in flight",
  },
  {
    ...{ holds: I2, broken: "a completed token may be completed again (21 A5)" },
    ...{ file: PLAN, find: 'EXPECTS = { C = "ar",', replace: 'EXPECTS = { C = "arc",' },
    ...{ test: PROPERTY, name: CALM },
  },
  {
    ...{ holds: I2, broken: "a join that was decided counts what comes later" },
    ...{ file: ARRIVALS, find: "if join.live < 0 then", replace: "if false then" },
    ...{ test: PROPERTY, name: ANY },
  },
  {
    ...{ holds: I2, broken: "the failure of an earlier attempt counts (21 A6)" },
    file: PLAN,
    find: "elseif tried > attempt or (not is_success and attempt ~= tried) then",
    replace: "elseif tried > attempt then",
    test: "sdk/redis/complete-tokens.test.ts",
    name: "a failure of an earlier attempt is stale",
  },
  {
    ...{
      holds: I2,
      broken: "what a step begins among the losers of the join that it fires is queued",
    },
    ...{ file: LOSERS, find: "or delta\n  withdraw(node)\n", replace: "or delta\n" },
    test: "sdk/redis/complete-losers.test.ts",
    name: "writes no entry for what the very step that makes it fire begins",
  },
  {
    ...{ holds: I2, broken: "items of one run are in two calls at a time (21 B2)" },
    file: "worker/batcher.ts",
    find: "if (isFull || this.#isInCall(sent.item.runId)) {",
    replace: "if (isFull) {",
    test: "worker/batcher.test.ts",
    name: "B2: no item is sent while an earlier one of its run is unanswered",
  },
  {
    ...{ holds: I2, broken: "a map that was settled by hand may be expanded again" },
    file: "scripts/intervene_token.lua",
    find: 'attempt = (state == "a" or state == "m") and',
    replace: 'attempt = state == "a" and',
    test: "sdk/redis/map-scripts.test.ts",
    name: "is not expanded again by whoever had its entry before",
  },
  {
    ...{
      holds: I2,
      broken: "elements of a map that was expanded again have the epoch of those before",
    },
    file: "scripts/include/unit.lua",
    find: "if attempt == 1 then\n    return epoch",
    replace: "if attempt then\n    return epoch",
    test: "sdk/redis/map-anew-scripts.test.ts",
    name: "is refused when it comes late",
  },
  {
    ...{ holds: I3, broken: "a run ends with one token still in flight" },
    ...{
      file: PLAN,
      find: "if counter == 0 and not it.ends",
      replace: "if counter <= 1 and not it.ends",
    },
    ...{ test: PROPERTY, name: CALM },
  },
  {
    ...{ holds: I3, broken: "only a node without out-edges looks whether it was the last (21 A2)" },
    ...{ file: PLAN, find: "if counter == 0 and not it.ends then" },
    replace: "if counter == 0 and not it.ends and entry_count == 0 and not has_joins then",
    test: "sdk/redis/complete-tokens.test.ts",
    name: "the loser of an any-join is consumed when it arrives, and ends the run",
  },
  {
    ...{ holds: I3, broken: "a released run can be started again (21 A9)" },
    file: "scripts/start_runs.lua",
    ...{ find: "elseif tombstones[i] then", replace: "elseif false then" },
    test: "sdk/redis/run-scripts.test.ts",
    name: "a start after the run was released is refused",
  },
  {
    ...{ holds: I3, broken: "a last token ends a run that others are still on their way in" },
    ...{ file: LAST, find: "if left > 0 then", replace: "if left > 1 then" },
    test: "sdk/redis/complete-last.test.ts",
    name: "leaves a run that has another token on its way, which then ends it",
  },
  {
    ...{ holds: I4, broken: "results of pure nodes behind a step are told and not written" },
    file: "scripts/include/complete_simple.lua",
    find: "ARGV[at + 6], FRESH, unpack(ARGV, extras, stop - 1))",
    replace: "ARGV[at + 6], FRESH)",
    test: "sdk/redis/simple-completion.test.ts",
    name: "with pure nodes' results: as steps, kept ones and last ones, or not at all",
  },
  {
    ...{ holds: I3, broken: "a last token of an epoch that is over ends a run (21 A1)" },
    ...{ file: LAST, find: " and have[2] == epoch\n", replace: "\n" },
    test: "sdk/redis/complete-last.test.ts",
    name: "changes nothing in a run of another epoch",
  },
  {
    ...{ holds: I3, broken: "a last token goes before what is sent again of its run (21 B2)" },
    ...{ file: LAST, find: "not bounced[run] and left", replace: "left" },
    test: "sdk/redis/complete-last.test.ts",
    name: "comes after what is sent again of its run",
  },
  {
    ...{ holds: I3, broken: "a run is started under an epoch that nobody has heard of (21 A9)" },
    file: "supervisor/start-deadlines.ts",
    find: "void (since !== null && deadlines.set(partition, { notAfterMs, since }));",
    replace: "deadlines.set(partition, { notAfterMs, since: since as string });",
    test: "supervisor/late-start.test.ts",
    name: "that its process could not hear of a certificate before is not made",
  },
  {
    ...{ holds: I3, broken: "two archivers may commit the same block (21 B10)" },
    file: "sdk/postgres/deployment.ts",
    find: "WHERE partition = $1 AND epoch = $2 AND seq = $3 RETURNING seq",
    replace: "WHERE partition = $1 AND epoch = $2 AND $3::bigint >= 0 RETURNING seq",
    ...{ test: "sdk/postgres/postgres.test.ts", name: "" }, // its tests build on each other
  },
  {
    ...{ holds: I4, broken: "a retry is not told with its attempt" },
    file: "sdk/hot-state.ts",
    find: 'this.tokens.wait(node, "r", (t.a ?? 1) + 1',
    replace: 'this.tokens.wait(node, "r", t.a ?? 1',
    test: "test/property/maps.test.ts",
    name: "A16: maps",
  },
  {
    ...{ holds: I4, broken: "a signal for an element of a map is folded twice" },
    file: "sdk/hot-state.ts",
    find: "    this.element(home)?.apply(own, tMs);",
    replace: "    this.signals.apply(own, home);\n    this.element(home)?.apply(own, tMs);",
    ...{ test: "sdk/hot-signals.test.ts", name: "count one that serves an element" },
  },
  {
    ...{ holds: I4, broken: "a lost kept signal is no drift" },
    ...{ file: "sdk/audit/signals.ts", find: '["signal_kept", "pqk"]' },
    ...{ replace: '["signal_kept", ""]', test: "test/audit/damage.test.ts" },
    name: "signal_kept, signal_id: a signal that came early is lost",
  },
  {
    ...{ holds: I4, broken: "a timer that stands at another time is no drift" },
    ...{ file: "sdk/audit/timers.ts", find: "Math.abs(armed - dueMs) < 1" },
    ...{ replace: "armed > 0", test: "test/audit/damage.test.ts" },
    name: "timer_due: what ends a delay, a retry, a wait, a run",
  },
  {
    ...{ holds: I4, broken: "records do not count up (21 A8)" },
    file: "scripts/include/partition.lua",
    find: 'string.format("%.0f", tail_seq + 1)',
    replace: 'string.format("%.0f", tail_seq)',
    test: "sdk/redis/complete-tokens.test.ts",
    name: "every record of the journal continues the one before",
  },
  {
    ...{
      holds: I4,
      broken: "what a script told before it failed half-way is not repaired (21 A4)",
    },
    file: "supervisor/run-repairs.ts",
    ...{ find: "if (runIds.length > 0) {", replace: "if (runIds.length > 1000) {" },
    test: "supervisor/archiver.test.ts",
    name: "repairs a run in which a script failed half-way",
  },
  {
    ...{ holds: I5, broken: "a group made anew loses entries that it has not delivered" },
    ...{
      file: ENTRIES,
      find: "is_acked and settled == #ids",
      replace: "is_acked",
    },
    ...{
      test: "sdk/redis/settle-entries.test.ts",
      name: "that a group made anew has not delivered yet take none with them",
    },
  },
  {
    ...{ holds: I5, broken: "a batch takes older entries along that somebody is at" },
    ...{ file: ENTRIES, find: "newest, 1) > 0 then", replace: "newest, 1) > 99 then" },
    ...{ test: "sdk/redis/settle-entries.test.ts", name: "leave older ones that somebody is at" },
  },
  {
    ...{
      holds: I7,
      broken: "entries stay when a script fails behind their acknowledgement (21 A4)",
    },
    file: ENTRIES,
    find: 'is_acked, settled = pcall(redis.call, "XACK", queue, GROUP, unpack(ids))',
    replace: 'is_acked, settled = true, redis.call("XACK", queue, GROUP, unpack(ids))',
    test: "sdk/redis/settle-entries.test.ts",
    name: "A4: are pending if they are still there, whatever call the script fails after",
  },
  {
    ...{ holds: I7, broken: "ids are compared as text, and settled entries stay" },
    ...{
      file: ENTRIES,
      find: "ms == other_ms and #id > #other",
      replace: "ms == other_ms and id > other",
    },
    ...{
      test: "sdk/redis/settle-entries.test.ts",
      name: "that are the oldest are gone, newer ones stand, in whatever order they are told",
    },
  },
  {
    ...{ holds: I5, broken: "a Redis that was rolled back passes unnoticed" },
    file: "supervisor/block-reader.ts",
    find: "record !== null && record.seq === to.seq + 1 && record.prev === to.nonce",
    replace: "record !== null",
    test: "supervisor/archiver.test.ts",
    name: "notices a record that does not continue the chain",
  },
  {
    ...{ holds: I5, broken: "a run's journal is not folded when it is rebuilt" },
    file: "supervisor/write-run.ts",
    find: "journal.forEach(({ transition, t }) => state.apply(transition, t));",
    replace: "journal.slice(0, 1).forEach(({ transition, t }) => state.apply(transition, t));",
    test: "test/waits.test.ts",
    name: "parked tokens, kept and accepted signals, decisions survive an emptied Redis",
  },
  {
    ...{ holds: I5, broken: "an item whose chain goes on acknowledges its entry (21 A11)" },
    file: "scripts/complete_tokens.lua",
    find: "return keep_entry(entry_stream(at), entry_id) and 2 or 3, false",
    replace: "return keep_entry(entry_stream(at), entry_id) and 2 or 3, true",
    ...{ test: PROPERTY, name: CALM },
  },
  {
    ...{ holds: I5, broken: "a run's output is read from a hash that was rolled back" },
    file: "supervisor/finalise.ts",
    find: 'if (status !== "completed" || ir === undefined) {',
    replace: "if (ir === undefined) {",
    test: "supervisor/archiver.test.ts",
    name: "takes the output of a run from its journal",
  },
  {
    ...{ holds: I5, broken: "a waker that was held up writes over a later sleep" },
    file: "scripts/wake_run.lua",
    find: 'if have[1] ~= "asleep" or have[2] ~= ticket then',
    replace: 'if have[1] ~= "asleep" and have[2] ~= ticket then',
    test: "supervisor/hibernate.test.ts",
    name: "one that was held up does not write over what the other has woken",
  },
  {
    ...{ holds: I5, broken: "a run is woken from a journal that lacks its last sleep" },
    file: "scripts/begin_wake.lua",
    find: 'if have[1] == "suspect" or (have[1] == "asleep" and have[3] and have[3] ~= seq) then',
    replace: "if false then",
    test: "supervisor/hibernate.test.ts",
    name: "nobody wakes a run whose sleep is not committed",
  },
  {
    ...{ holds: I5, broken: "a wake that fails half-way leaves a run that nobody repairs" },
    file: "scripts/wake_run.lua",
    ...{ find: "untold = run_id\n", replace: "" },
    test: "supervisor/hibernate.test.ts",
    name: "a wake that fails in the middle of its script leaves a run that is repaired",
  },
  {
    ...{ holds: I5, broken: "a run that has fallen asleep anew is marked awake" },
    file: "sdk/postgres/sleep.ts",
    find: "WHERE r.id = u.id AND r.sleep_seq = u.seq RETURNING r.id",
    replace: "WHERE r.id = u.id RETURNING r.id",
    test: "sdk/postgres/sleep.test.ts",
    name: "only the sleep that somebody has woken is over",
  },
  {
    ...{
      holds: I5,
      broken: "the audit takes a run that falls asleep for damaged, and has it rebuilt",
    },
    file: AUDIT_RUN,
    find: 'run["s"] === "asleep" && isOnItsWay(',
    replace: 'run["s"] === "gone" && isOnItsWay(',
    test: "supervisor/falling-asleep.test.ts",
    name: "is no drift, archived or not",
  },
  {
    ...{ holds: I5, broken: "the audit takes a run that sleeps for lost, and has it rebuilt" },
    file: AUDIT_RUN,
    find: '"QUEUED" && !isTerminal(row.status) && row.asleepSinceMs === null;',
    replace: '"QUEUED" && !isTerminal(row.status);',
    ...{ test: "test/audit/asleep.test.ts", name: "is no run that is missing" },
  },
  {
    ...{ holds: I5, broken: "the audit takes every run that is not in Redis for one that sleeps" },
    file: AUDIT_RUN,
    find: '"QUEUED" && !isTerminal(row.status) && row.asleepSinceMs === null;',
    replace: '"QUEUED" && !isTerminal(row.status) && row.asleepSinceMs !== null;',
    ...{ test: "test/audit/damage.test.ts", name: "run_missing: the whole run is gone" },
  },
  {
    ...{ holds: I5, broken: "the audit takes a child that sleeps for lost" },
    ...{ file: AUDIT_RUN, find: "row.asleepSinceMs === null ? [] : [row.id]", replace: "[]" },
    ...{ test: "test/audit/asleep.test.ts", name: "is no child that is missing to its parent" },
  },
  {
    ...{ holds: I5, broken: "the audit takes a child that is lost for one that sleeps" },
    ...{ file: AUDIT_RUN, find: "row.asleepSinceMs === null ? [] : [row.id]" },
    replace: "[row.id]",
    ...{ test: "test/audit/damage.test.ts", name: "child_missing: a node waits for a child" },
  },
  {
    ...{
      holds: I3,
      broken: "a run that is to be repaired is cancelled, and lives on after its end",
    },
    file: "scripts/cancel_run.lua",
    find: 'have[1] == "asleep" or have[1] == "suspect"',
    replace: 'have[1] == "asleep"',
    test: "supervisor/archiver.test.ts",
    name: "ends a run once that is cancelled while it is to be repaired",
  },
  {
    ...{ holds: I3, broken: "a run that is to be repaired times out, and lives on after its end" },
    file: "scripts/fire_timers.lua",
    find: "local FROZEN = { asleep = true, suspect = true }",
    replace: "local FROZEN = { asleep = true }",
    test: "supervisor/archiver.test.ts",
    name: "ends a run once that is over its time while it is to be repaired",
  },
  {
    ...{
      holds: I6,
      broken: "a token that its circuit has held back cannot wait for its rate again",
    },
    file: PLAN,
    find: 'set("w" .. node, "") -- what',
    replace: "-- what",
    test: "test/circuits.test.ts",
    name: "which waits for another one then (live)",
  },
  {
    ...{ holds: I7, broken: "a loser keeps its place among those who wait for a signal" },
    file: "scripts/include/complete_losers.lua",
    find: "gone.parked[#gone.parked + 1] = node",
    replace: "local _ = node",
    test: "sdk/redis/complete-losers.test.ts",
    name: "takes losers that wait for a signal off its line",
  },
  {
    ...{
      holds: I7,
      broken: "an element that ends keeps its place among those who wait for a signal",
    },
    file: "scripts/include/complete_element.lua",
    find: 'elseif kind == "w" then',
    replace: "elseif false then",
    test: "sdk/redis/map-scripts.test.ts",
    name: "takes its places among who waits for signals with it",
  },
  {
    ...{ holds: I6, broken: "a join that all arrivals have missed is not decided" },
    file: ARRIVALS,
    find: "local complete = join.decided == arity",
    replace: 'local complete = join.decided == arity and value ~= "D"',
    ...{ test: PROPERTY, name: CALM },
  },
  {
    ...{
      holds: I6,
      broken: "the compiler takes a body that can be entered beside its head (21 A15)",
    },
    file: "compiler/loops.ts",
    find: "if (!dominators.dominates(head + 1, latch + 1)) {",
    replace: "if (latch < 0) {",
    ...{ test: "compiler/rules.test.ts", name: "" },
  },
  {
    ...{ holds: I7, broken: "an ended run is not put on the list of what to release (21 C6)" },
    file: "scripts/complete_tokens.lua",
    find: 'redis.call("ZADD", k.release, unpack(k.ended))',
    replace: "",
    test: "test/property/children.test.ts",
    name: "come to the oracle's end whatever the schedule",
  },
  {
    ...{ holds: I7, broken: "elements of maps are left behind" },
    file: "supervisor/release-maps.ts",
    ...{ find: "let from = 0;\n  do {", replace: "let from = begun;\n  do {" },
    ...{ test: "test/property/maps.test.ts", name: "A16: maps" },
  },
  {
    ...{ holds: I8, broken: "an error edge is taken after a success, too" },
    file: "worker/decide.ts",
    find: "const live = candidate && (condition === null",
    replace: "const live = (candidate || place === 1) && (condition === null",
    ...{ test: PROPERTY, name: "engine and oracle: handled failures" },
  },
  {
    ...{ holds: I8, broken: "an any join may be given up before all in-edges are decided" },
    file: ARRIVALS,
    find: "if need > 0 and join.live == need then",
    replace: "if need > 0 and join.live == need and not complete then",
    ...{ test: PROPERTY, name: ANY },
  },
  {
    ...{ holds: I7, broken: "a start that is refused leaves its large input behind" },
    file: "scripts/start_runs.lua",
    find: "if replies[list[large] + 1] == 0 then",
    replace: "if true then",
    test: "sdk/redis/run-scripts.test.ts",
    name: "what a run refers to comes with its start",
  },
  {
    ...{ holds: I8, broken: "a step of a chain sees nothing of what the steps before have left" },
    file: "sdk/run-data.ts",
    ...{ find: "found.set(field, value);", replace: "found.set(field, null);" },
    ...{ test: "worker/chain-reads.test.ts", name: "a chain reads its run's input" },
  },
];
