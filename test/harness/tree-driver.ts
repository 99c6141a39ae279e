/**
 * Drives a tree of runs through the real scripts: as driver.ts does one run, with children that are
 * started, waited for and read by the worker's own code, consumers that die before, between and
 * after, results sent twice or late, ended runs released and orphans looked for at any moment. The
 * seed draws the schedule.
 */
import type { Ir, Json } from "../../compiler/ir.ts";
import {
  cancelOrphans,
  completeTokens,
  COMPLETION,
  fireTimers,
  HotState,
  hotFields,
  parseJournalRecord,
  redisTimeMs,
  releaseRuns,
  startRuns,
  type CompletionItem,
  type JournalRecord,
  type ReadyToken,
  type RunProfile,
} from "../../sdk/internal.ts";
import { stepChild } from "../../worker/children.ts";
import type { Executor } from "../../worker/execute.ts";
import type { Prepared } from "../../worker/prepared.ts";
import { itemOf } from "../../worker/results.ts";
import { finish } from "../../worker/finish.ts";
import { settlingOf } from "../../worker/output-template.ts";
import { ExecutionError, toExecutionError } from "../../worker/kinds/kind.ts";
import { Preparer } from "../../worker/prepare.ts";
import { Workflows } from "../../worker/workflows.ts";
import { countTransitions } from "./cases.ts";
import { claimAll, readAll } from "./deliveries.ts";
import { testExecutor } from "./driven-worker.ts";
import { assertCounter } from "./invariants.ts";
import { queueKeysOf, type TestPartition } from "./partition.ts";
import { runSync } from "./run-sync.ts";
import { CONSUMERS, dies, pick, type Schedule } from "./schedule.ts";

export interface TreeOptions {
  /** Workflows by hash, with their profiles; the root's is the first. */
  profiles: readonly RunProfile[];
  /** Reference to hash. */
  bindings: { [ref: string]: string };
  schedule: Schedule;
  /** Probability, per step, that something that has ended is released. */
  release: number;
}

const STEPS_MAX = 20_000;
const FINAL = new Set(["completed", "failed", "cancelled"]);

export class TreeDriver {
  readonly #p: TestPartition;
  readonly #o: TreeOptions;
  readonly #keys: string[];
  readonly #workflows: Workflows;
  readonly #preparer: Preparer;
  readonly #executor: Executor;
  #held: { token: ReadyToken; consumer: string }[] = [];
  #late: CompletionItem[] = [];

  constructor(partition: TestPartition, options: TreeOptions) {
    this.#p = partition;
    this.#o = options;
    const keys = options.profiles.flatMap((one) => queueKeysOf(one));
    this.#keys = [...new Set(keys)];
    this.#workflows = new Workflows(partition.redis);
    this.#preparer = new Preparer(partition.scripts.redis, this.#workflows, 0);
    this.#executor = testExecutor();
  }

  /** Runs a root to its end, and whatever it left behind; the journal of all of it. */
  async run(runId: string, input: Json): Promise<JournalRecord[]> {
    const { scripts } = this.#p;
    const notAfterMs = (await redisTimeMs(scripts)) + 30_000;
    const profile = this.#o.profiles[0] as RunProfile;
    const bindings = JSON.stringify(this.#o.bindings);
    const about = { profile, runId, epoch: 1, bindings, notAfterMs };
    await startRuns(scripts, [{ ...about, input: JSON.stringify(input) }]);
    for (let step = 1; step <= STEPS_MAX; step++) {
      await this.#step();
      await this.#assertHashes();
      if ((await this.#open()).length === 0) {
        await this.#settleRest();
        const records = await this.#records();
        countTransitions(records);
        return records;
      }
    }
    throw new Error(`the tree does not end: ${(await this.#open()).join(", ")}`);
  }

  async #records(): Promise<JournalRecord[]> {
    const entries = await this.#p.redis.xrange(this.#p.scripts.keys.ev, "-", "+");
    return entries.map(([id, fields]) => parseJournalRecord(id, fields));
  }

  /** Runs that have begun and not ended, by the journal. */
  async #open(): Promise<string[]> {
    const open = new Set<string>();
    for (const { r, e } of (await this.#records()).flatMap((record) => record.transitions)) {
      if (e === "run.started") {
        open.add(r);
      } else if (FINAL.has(e.slice("run.".length)) && e.startsWith("run.")) {
        open.delete(r);
      }
    }
    return [...open];
  }

  /** Counters are right, and, now and then, folding the journal gives the hashes. */
  async #assertHashes(): Promise<void> {
    const folds = this.#o.schedule.random() < 0.1 ? await this.#records() : null;
    for (const runId of await this.#open()) {
      const hash = await this.#p.redis.hgetall(this.#p.scripts.keys.run(runId));
      const ir = this.#o.profiles.find(({ irHash }) => irHash === hash["ir"])?.ir as Ir;
      assertCounter(ir, hash);
      if (folds !== null) {
        assertFold(ir, runId, hash, folds);
      }
    }
  }

  async #step(): Promise<void> {
    const { schedule, release } = this.#o;
    if (schedule.random() < release) {
      await this.#release();
    }
    if (schedule.random() < 0.1) {
      await this.#orphans();
    }
    if (this.#held.length === 0 || schedule.random() < 0.2) {
      await this.#read();
    }
    if (this.#held.length > 0 && schedule.random() < schedule.steal) {
      await this.#steal();
    }
    if (this.#held.length > 0) {
      await this.#complete();
    } else if (this.#late.length > 0) {
      await this.#send(this.#late.splice(0));
    } else if (!(await this.#steal())) {
      await this.#orphans();
      await this.#timers();
    }
  }

  async #timers(): Promise<void> {
    const { scripts } = this.#p;
    const fired = await fireTimers(scripts);
    if (fired.nextMs !== null) {
      await this.#p.advance(fired.nextMs - (await redisTimeMs(scripts)) + 1);
      await Promise.all([fireTimers(scripts), fireTimers(scripts)]);
    }
  }

  async #release(): Promise<void> {
    const { redis, scripts } = this.#p;
    const ended = await redis.zrange(scripts.keys.release, 0, -1);
    if (ended.length > 0) {
      await releaseRuns(scripts, [pick(this.#o.schedule, ended)], []);
    }
  }

  async #orphans(): Promise<void> {
    const children = (await this.#open()).filter((id) => id.includes("~"));
    const open = new Set(await this.#open());
    const over = (id: string): boolean => !open.has(id.split("~", 1)[0] as string);
    await cancelOrphans(
      this.#p.scripts,
      children.map((id) => ({ id, isParentOver: over(id) })),
    );
  }

  async #read(): Promise<void> {
    const consumer = pick(this.#o.schedule, CONSUMERS);
    const count = 1 + Math.floor(this.#o.schedule.random() * 8);
    const tokens = await readAll(this.#p.redis, this.#keys, consumer, count);
    this.#held.push(...tokens.map((token) => ({ token, consumer })));
  }

  async #steal(): Promise<boolean> {
    const consumer = pick(this.#o.schedule, CONSUMERS);
    const tokens = await claimAll(this.#p.scripts.redis, this.#keys, consumer);
    this.#held.push(...tokens.map((token) => ({ token, consumer })));
    return tokens.length > 0;
  }

  async #complete(): Promise<void> {
    const { random, die, late, duplicate } = this.#o.schedule;
    const [held] = this.#held.splice(Math.floor(random() * this.#held.length), 1);
    if (held === undefined || random() < die) {
      return; // died with it: it stays pending
    }
    const item = await this.#item(held.token);
    if (item === null) {
      return;
    }
    if (random() < late) {
      this.#late.push(item);
      return;
    }
    await this.#send([item], held.consumer);
    if (random() < duplicate) {
      await this.#send([item], held.consumer);
    }
    if (this.#late.length > 0 && random() < 0.3) {
      await this.#send(this.#late.splice(0));
    }
  }

  async #item(token: ReadyToken): Promise<CompletionItem | null> {
    const [preparation] = await this.#preparer.prepare([token], true);
    if (!preparation || preparation.kind === "unknown" || preparation.kind === "later") {
      throw new Error("a token of an unknown workflow");
    }
    if (preparation.kind === "hold") {
      throw new Error("nothing is paused here");
    }
    if (preparation.kind === "drop") {
      const node = preparation.profile.ir.nodes[token.node];
      return node === undefined ? null : itemOf({ ...preparation, node });
    }
    const { prepared } = preparation;
    if (token.kind === "finish") {
      await finish(settlingOf(this.#p.scripts), prepared.profile, token, token.entryId);
      return null;
    }
    return this.#execute(prepared);
  }

  async #execute(p: Prepared): Promise<CompletionItem | null> {
    const executor = this.#executor;
    let vars = {};
    try {
      const begun = executor.begin(p, 0);
      vars = begun.vars;
      if (begun.settled !== null) {
        return begun.settled;
      }
      if (p.node.type === "subworkflow") {
        return await this.#child(p, vars, begun.input);
      }
      return executor.succeed(p, vars, runSync(p, vars, begun.input), 0);
    } catch (error) {
      return executor.fail(p, vars, toExecutionError(error), 0);
    }
  }

  async #child(p: Prepared, vars: object, input: Json): Promise<CompletionItem | null> {
    const { random, die, duplicate } = this.#o.schedule;
    const options = { scripts: this.#p.scripts, workflows: this.#workflows };
    try {
      if (random() < duplicate) {
        await stepChild(options, p, input); // died with the answer
      }
      const step = await stepChild(options, p, input);
      if (random() < die || step.kind === "parked") {
        return null;
      }
      return step.kind === "void" ? itemOf(p) : this.#executor.succeed(p, vars, step.output, 0);
    } catch (error) {
      if (error instanceof ExecutionError && error.code === "CHILD_LOST") {
        throw new Error("a child was released before its end was read", { cause: error });
      }
      return this.#executor.fail(p, vars, toExecutionError(error), 0);
    }
  }

  async #send(items: CompletionItem[], consumer = "c0"): Promise<void> {
    const codes = items.length === 0 ? [] : await completeTokens(this.#p.scripts, items, consumer);
    for (const [i, code] of codes.entries()) {
      const item = items[i] as CompletionItem;
      if (code === COMPLETION.planFailed || code === COMPLETION.applyFailed) {
        throw new Error(`item not settled (${code}): ${JSON.stringify(item.results)}`);
      }
      if (code === COMPLETION.finish && !dies(this.#o.schedule)) {
        const queueKey = item.profile.queueKeys[item.queue] as string;
        await finish(settlingOf(this.#p.scripts), item.profile, { ...item, queueKey }, null);
      }
    }
  }

  /** After the end: whatever is still around is refused and acknowledged, everything released. */
  async #settleRest(): Promise<void> {
    await this.#send(this.#late.splice(0));
    for (let rest = 1; rest > 0;) {
      await this.#read();
      await this.#steal();
      rest = this.#held.length;
      for (const { token, consumer } of this.#held.splice(0)) {
        const item = await this.#item(token);
        await this.#send(item === null ? [] : [item], consumer);
      }
    }
    const { redis, scripts } = this.#p;
    await releaseRuns(scripts, await redis.zrange(scripts.keys.release, 0, -1), []);
  }
}

/** Throws unless a run's hash is what its journal folds to; what waits is told apart by rebuild. */
function assertFold(
  ir: Ir,
  runId: string,
  hash: { [field: string]: string },
  records: readonly JournalRecord[],
): void {
  const hot = new HotState(ir);
  for (const { transitions, t } of records) {
    transitions.filter(({ r }) => r === runId).forEach((one) => hot.apply(one, t));
  }
  const more = { epoch: 1, irHash: "", input: null, namespace: "", priority: "normal" };
  const told = (fields: { [field: string]: string }): string =>
    JSON.stringify(
      Object.entries(fields)
        .filter(([name, value]) => /^([cs]|nf|[njli]\d+)$/.test(name) || value.startsWith("="))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  const folded = told(hotFields(hot, more));
  if (folded !== told(hash)) {
    throw new Error(`the journal of ${runId} folds to ${folded}, the hash is ${told(hash)}`);
  }
}
