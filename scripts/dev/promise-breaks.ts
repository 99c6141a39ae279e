/** Breaks of what users are promised (README.md), and of what limits promise (docs/limits.md). */
import type { Break } from "./break-list.ts";

const PLAN = "scripts/include/complete_plan.lua";
const P1 = "Promise 1: an accepted submission runs to one end";
const P2 = "Promise 2: a completed node is not run again, its output not lost";
const P3 = "Promise 3: any process may be killed";
const P4 = "Promise 4: bad input is answered, and stops nothing";
const P5 = "Promise 5: a flood slows itself down";
const P6 = "Promise 6: nobody reads what is not theirs, no secret appears";
const LIMIT =
  "Limits: while a target fails nobody calls it, after that one; whoever waits is charged nothing";
const RATE = "Limits: starts of one key are an interval apart, however late they are";
const CIRCUITS = {
  test: "test/property/circuits.test.ts",
  name: "engine and oracle: steps that wait agree",
};

export const PROMISE_BREAKS: readonly Break[] = [
  {
    ...{ holds: P1, broken: "the same key with another payload is taken for the same" },
    file: "sdk/postgres/admission.ts",
    find: "return run.requestHash === row.requestHash && run.tenant === row.tenant;",
    replace: "return run.tenant === row.tenant;",
    test: "supervisor/intake.test.ts",
    name: "answers the same key and payload with the first run",
  },
  {
    ...{ holds: P1, broken: "a run id with another input is taken for the same" },
    file: "sdk/postgres/admission.ts",
    find: "isSameInput(run.input, row.input)",
    replace: "true",
    test: "supervisor/intake.test.ts",
    name: "refuses a run id that was used for something else",
  },
  {
    ...{ holds: P1, broken: "the same key with another priority is taken for the same" },
    file: "supervisor/submission.ts",
    find: "[workflowIdentity(workflow), input, priority, namespace]",
    replace: "[workflowIdentity(workflow), input, namespace]",
    ...{ test: "supervisor/submission.test.ts", name: "under the same key another request hash" },
  },
  {
    ...{ holds: P1, broken: "what is put off as the slow lane ends is left behind" },
    file: "supervisor/slow-lane.ts",
    ...{ find: "        this.add([], signal); // what was added as it ended\n", replace: "" },
    test: "supervisor/slow-lane-end.test.ts",
    name: "what is put off as it ends is handled, whichever moment that is",
  },
  {
    ...{ holds: P2, broken: "a late success of a void round is accepted (21 A1)" },
    file: PLAN,
    find: 'elseif scope ~= "" and not scope_is_current(it.run, scope) then',
    replace: "elseif false then",
    ...{ test: "sdk/redis/complete-tokens.test.ts", name: "what is in flight in a round is void" },
  },
  {
    ...{ holds: P3, broken: "what a dead worker held is never taken over" },
    file: "worker/stale.ts",
    find: '"IDLE", leaseMs, from',
    replace: '"IDLE", 10 * 60_000 + leaseMs, from',
    ...{ test: "test/e2e/kill.test.ts", name: "all runs end once" },
  },
  {
    ...{ holds: P4, broken: "a document may be nested as deeply as it likes" },
    file: "compiler/json-source.ts",
    find: "if (this.#path.length >= this.#depthMax) {",
    replace: "if (this.#depthMax < 0) {",
    test: "compiler/source.test.ts",
    name: "deep nesting is refused without exhausting the stack",
  },
  {
    ...{ holds: P4, broken: "a number that JSON cannot pass on becomes null without a word" },
    file: "condition/json-text.ts",
    ...{ find: "if (MAY_OVERFLOW.test(text)) {", replace: 'if (text === "") {' },
    ...{ test: "supervisor/submission.test.ts", name: "says what is wrong" },
  },
  {
    ...{ holds: P5, broken: "lower priorities wait for ever behind a backlog" },
    ...{ file: "worker/reader.ts", find: "const FAIR = 32;", replace: "const FAIR = 1_000_000;" },
    ...{ test: "worker/reader.test.ts", name: "low gets a share all the same" },
  },
  {
    ...{ holds: P6, broken: "a tenant is answered with the run of another, who uses the same key" },
    file: "sdk/postgres/admission.ts",
    find: "key !== null && row.tenant === tenant && row.idempotencyKey === key",
    replace: "key !== null && row.idempotencyKey === key",
    test: "sdk/postgres/postgres.test.ts",
    name: "",
  },
  {
    ...{ holds: P6, broken: "a submission reaches the queues of others by its namespace" },
    file: "sdk/namespace-name.ts",
    ...{ find: "PREFIX.test(name)", replace: 'name.startsWith("ns:")' },
    test: "supervisor/submission.test.ts",
    name: "lets nobody out of a namespace by its name",
  },
  {
    ...{ holds: P6, broken: "a node may reach the cloud's metadata service" },
    file: "worker/kinds/http-guard.ts",
    ...{ find: '  ["169.254.0.0", 16],\n', replace: "" },
    test: "worker/kinds/http-guard.test.ts",
    name: "refuses the metadata service however it is spelled",
  },
  {
    ...{ holds: P6, broken: "a server that echoes a secret brings it into the error" },
    file: "worker/kinds/http.ts",
    ...{ find: 'result.replaceAll(secret, "***")', replace: "result" },
    test: "worker/kinds/http.test.ts",
    name: "shows the host and no secret",
  },
  {
    ...{ holds: LIMIT, broken: "everybody begins when a circuit's time is over" },
    file: "scripts/ask_circuit.lua",
    find: "if had[3] == who or not had[3] or tonumber(had[4]) <= now then",
    replace: "if true then",
    ...CIRCUITS,
  },
  {
    ...{ holds: LIMIT, broken: "what began before a circuit opened counts as its probe" },
    ...{
      file: "scripts/tell_circuit.lua",
      find: "if had[3] ~= who then",
      replace: "if false then",
    },
    test: "sdk/redis/circuit-scripts.test.ts",
    name: "learns nothing from executions that began before it opened",
  },
  {
    ...{ holds: LIMIT, broken: "a node with a short window has the failures of others forgotten" },
    file: "scripts/tell_circuit.lua",
    find: "math.max(within_ms, tonumber(had[5] or 0))",
    replace: "within_ms",
    test: "sdk/redis/circuit-scripts.test.ts",
    name: "keeps a failure for as long as one of its nodes counts it",
  },
  {
    ...{ holds: LIMIT, broken: "a token that its circuit holds back is charged an attempt" },
    file: PLAN,
    find: 'attempt = op == "R" and attempt + 1 or attempt',
    replace: 'attempt = (op == "R" or is_held) and attempt + 1 or attempt',
    ...CIRCUITS,
  },
  {
    ...{ holds: RATE, broken: "one that begins late counts from when it should have begun" },
    file: "scripts/take_slot.lua",
    find: "begun = math.max(now, begun) + interval",
    replace: "begun = begun + interval",
    test: "sdk/redis/rate-scripts.test.ts",
    name: "one that begins late keeps its distance from the next",
  },
  {
    ...{ holds: RATE, broken: "of those that come late at one time several get one start" },
    ...{ file: "scripts/take_slot.lua", find: "late = start + interval", replace: "late = late" },
    test: "sdk/redis/rate-scripts.test.ts",
    name: "of many that come late at one time each gets a start of its own",
  },
  {
    ...{ holds: RATE, broken: "what a worker that stood still begins late is not kept apart" },
    file: "worker/rate-turns.ts",
    find: "Math.max(nowMs, isAnew ? 0 : pace.freeMs) +",
    replace: "pace.freeMs +",
    test: "worker/rate-turns.test.ts",
    name: "keep their distance from one that begins after its worker stood still",
  },
  {
    ...{ holds: P2, broken: "a large answer to a wait is not archived with its reference" },
    file: "supervisor/blobs.ts",
    find: '    void ("kind" in v ? mapGiven(v, keep) : keep(v.data));\n',
    replace: "",
    test: "test/e2e/large-inputs.test.ts",
    name: "signals, callbacks and decisions are whole",
  },
  {
    ...{ holds: P2, broken: "large elements of a map are not archived with their references" },
    file: "supervisor/blobs.ts",
    find: "[o ?? vars ?? inp, ...items]",
    replace: "[o ?? vars ?? inp]",
    test: "test/e2e/large-inputs.test.ts",
    name: "elements of a map are whole in the map",
  },
  {
    ...{ holds: P3, broken: "a large input is not put back after a loss of Redis" },
    file: "supervisor/rebuild-rows.ts",
    find: "let hasBlobs = isBlobText(row.input);",
    replace: "let hasBlobs = false;",
    test: "test/e2e/large-inputs.test.ts",
    name: "outlives a Redis that has lost everything",
  },
  {
    ...{ holds: P3, broken: "a rebuild counts a write twice that its client has sent again" },
    file: "supervisor/guarded.ts",
    find: "if (found >= done && found < this.#end) {",
    replace: "if (found < 0) {",
    test: "supervisor/certify.test.ts",
    name: "a rebuild counts a write once whose answer was lost",
  },
  {
    ...{
      holds: P2,
      broken: "a pure function that fails ahead fails its node, without its retries",
    },
    file: "worker/ahead.ts",
    ...{
      find: "    } catch {\n      return null;",
      replace: "    } catch {\n      return { output: null, ms: 0 };",
    },
    test: "test/pure-functions.test.ts",
    name: "has all its attempts in steps of its own if it fails there",
  },
  {
    ...{
      holds: P2,
      broken: "a pure function sorts in place what the nodes beside it are given, too",
    },
    file: "worker/kinds/function.ts",
    find: "context.ownsData === true ? context.data : copyOf(context.data)",
    replace: "context.data",
    test: "test/own-values.test.ts",
    name: "leaves what the step before it has put out to the nodes beside it",
  },
  {
    ...{
      holds: P5,
      broken: "an item takes more than 256 KiB of pure nodes, if none alone has more",
    },
    file: "worker/fusion.ts",
    find: "this.#chars += ",
    replace: "this.#chars = ",
    test: "worker/fusion.test.ts",
    name: "of nodes beside one another",
  },
  {
    ...{ holds: P2, broken: "what a function does to its params is there in all later runs" },
    file: "worker/kinds/function.ts",
    find: "params === NO_PARAMS ? params : copyOf(params)",
    replace: "params",
    test: "test/own-values.test.ts",
    name: "leaves what stands in the workflow to all runs of it",
  },
  {
    ...{ holds: P2, broken: "a function sorts in place the run's input that others read" },
    file: "worker/run-kind.ts",
    find: "token.payload !== null || !isFedByRun(profile.ir, node)",
    replace: "token.kind !== null",
    test: "test/own-values.test.ts",
    name: "leaves the run's input to those behind it",
  },
  {
    ...{
      holds: P3,
      broken: "a pure function that kills its worker is charged to the step before it",
    },
    file: "worker/look-ups.ts",
    find: "if (held.isRedelivered) {",
    replace: "if (held.nodes > 0) {",
    test: "worker/look-ups.test.ts",
    name: "one that was delivered before is told from one that a chain comes to",
  },
  {
    ...{
      holds: P6,
      broken: "a log has what a library has hung on an error: a request with its headers",
    },
    file: "worker/thrown-log.ts",
    ...{ find: "err: toldError(cause),", replace: "err: { ...cause, ...toldError(cause) }," },
    test: "worker/thrown-log.test.ts",
    name: "writes of an error what it says, and not what hangs on it",
  },
  {
    ...{ holds: P1, broken: "an audit's repair removes what stands there by now, unlooked" },
    file: "supervisor/audit/repair.ts",
    find: 'return type !== "none" && `a ${type}` !== drift.expected;',
    replace: "return true;",
    test: "test/hibernate/stale-remedy.test.ts",
    name: "what stood in a sleeping run's place is removed, not the run that has been woken since",
  },
  {
    ...{ holds: P1, broken: "what an audit found is removed though its run has come to be since" },
    file: "scripts/remove_orphan.lua",
    find: 'if (have[1] or "") ~= status or (have[2] or "") ~= run_epoch',
    replace: "if false",
    test: "test/audit/former-timers.test.ts",
    name: "not those of one that it is rebuilt under meanwhile",
  },
];
