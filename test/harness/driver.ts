/**
 * Drives runs through the real scripts on a real Redis, with the worker's own planning code and a
 * schedule drawn from a seed: consumers that die before or after a call, entries stolen from live
 * consumers, results sent twice or late, several items of one run in a batch, timers fired twice,
 * chains that one consumer runs without a queue hop, or does not.
 * One process, no threads, no clock: the same seed gives the same schedule.
 */
import type { Json } from "../../compiler/ir.ts";
import {
  claimAll,
  completeTokens,
  holdTokens,
  pauseRun,
  planRedrive,
  redriveRun,
  releaseRuns,
  resumeRun,
  COMPLETION,
  fireTimers,
  GROUP,
  parseEntry,
  parseJournalRecord,
  redisTimeMs,
  startRuns,
  type CompletionItem,
  type JournalRecord,
  type ReadyToken,
  type RedriveWish,
  type RunProfile,
} from "./imports.ts";
import { Executor, type Prepared } from "../../worker/execute.ts";
import { chainNext, nextToken } from "../../worker/chain.ts";
import { finish } from "../../worker/finish.ts";
import { toExecutionError } from "../../worker/kinds/kind.ts";
import { Preparer } from "../../worker/prepare.ts";
import { Workflows } from "../../worker/workflows.ts";
import { assertCounter } from "./invariants.ts";
import { runSync } from "./run-sync.ts";
import type { TestPartition } from "./partition.ts";

export interface Schedule {
  /** Uniform in [0, 1). */
  random(): number;
  /** Probabilities per step. */
  die: number;
  steal: number;
  duplicate: number;
  late: number;
  /** Pauses the run, or resumes it when it is paused. */
  pause?: number;
}

/** A token and the consumer that it was delivered to. */
interface Held {
  token: ReadyToken;
  consumer: string;
  /** Nothing is taken for granted: its record is read, its chain looked for. */
  again?: boolean;
}

/** An item on its way, with what its sender knows of it. */
interface Sent {
  item: CompletionItem;
  held: Held;
}

export interface DriveResult {
  records: JournalRecord[];
  hash: { [field: string]: string };
  steps: number;
}

const STEPS_MAX = 20_000;
const CONSUMERS = ["c0", "c1", "c2"];

export class Driver {
  readonly #p: TestPartition;
  readonly #profile: RunProfile;
  readonly #s: Schedule;
  readonly #preparer: Preparer;
  readonly #executor: Executor;
  #held: Held[] = [];
  #epoch = 1;
  #late: Sent[] = [];

  constructor(partition: TestPartition, profile: RunProfile, schedule: Schedule) {
    this.#p = partition;
    this.#profile = profile;
    this.#s = schedule;
    this.#preparer = new Preparer(partition.redis, new Workflows(partition.redis), 0);
    this.#executor = new Executor({
      workerId: "t",
      secrets: () => ({}),
      random: () => 0.5,
      outputBytesMax: 1024 * 1024,
    });
  }

  /** Runs one run to its end. Throws if it hangs or breaks an invariant. */
  async run(runId: string, input: Json): Promise<DriveResult> {
    const { scripts } = this.#p;
    const notAfterMs = (await redisTimeMs(scripts)) + 30_000;
    const start = {
      profile: this.#profile,
      runId,
      epoch: 1,
      input: JSON.stringify(input),
      notAfterMs,
    };
    const [code] = await startRuns(scripts, [start]);
    if (code !== 0) {
      throw new Error(`the run did not start: ${code}`);
    }
    return this.#drive(runId);
  }

  /** Redrives a run that has failed and drives it to its next end. */
  async redrive(runId: string, input: Json, wish: RedriveWish): Promise<DriveResult> {
    const { scripts } = this.#p;
    const journal = (await this.#records()).flatMap((record) =>
      record.transitions.map((transition) => ({ transition, t: record.t })),
    );
    const { state, redriven } = planRedrive(this.#profile.ir, journal, wish);
    await releaseRuns(scripts, [runId], []);
    this.#epoch += 1;
    const told = { r: runId, e: "run.redriven", ep: this.#epoch, at: this.#epoch } as const;
    const answer = await redriveRun(scripts, {
      ...{ runId, epoch: this.#epoch, profile: this.#profile, state, fields: {} },
      notAfterMs: (await redisTimeMs(scripts)) + 30_000,
      input: JSON.stringify(input),
      told: { ...told, rd: redriven },
    });
    if (answer.kind !== "redriven") {
      throw new Error(`the run was not redriven: ${answer.kind}`);
    }
    return this.#drive(runId);
  }

  async #records(): Promise<JournalRecord[]> {
    const entries = await this.#p.redis.xrange(this.#p.scripts.keys.ev, "-", "+");
    return entries.map(([id, fields]) => parseJournalRecord(id, fields));
  }

  async #drive(runId: string): Promise<DriveResult> {
    const { scripts, redis } = this.#p;
    for (let step = 1; step <= STEPS_MAX; step++) {
      await this.#pauseOrResume(runId);
      await this.#step();
      const hash = await redis.hgetall(scripts.keys.run(runId));
      assertCounter(this.#profile.ir, hash);
      if (["completed", "failed", "cancelled"].includes(hash["s"] ?? "")) {
        await this.#settleRest();
        const records = await this.#records();
        return { records, hash: await redis.hgetall(scripts.keys.run(runId)), steps: step };
      }
    }
    const stuck = await redis.hgetall(scripts.keys.run(runId));
    throw new Error(`the run does not end: ${JSON.stringify(stuck)}`);
  }

  /** Only with a schedule that pauses, so that the others draw as they always did. */
  async #pauseOrResume(runId: string): Promise<void> {
    const chance = this.#s.pause ?? 0;
    if (chance > 0 && this.#s.random() < chance) {
      const { kind } = await pauseRun(this.#p.scripts, runId, "run");
      if (kind === "was_paused") {
        await resumeRun(this.#p.scripts, runId, "run");
      }
    }
  }

  async #step(): Promise<void> {
    const dice = this.#s.random();
    if (this.#held.length === 0 || dice < 0.2) {
      await this.#read();
    }
    if (this.#held.length > 0 && this.#s.random() < this.#s.steal) {
      await this.#steal();
    }
    if (this.#held.length > 0) {
      await this.#complete();
      return;
    }
    if (this.#late.length > 0) {
      await this.#send(this.#late.splice(0));
      return;
    }
    // Nothing to read: what is pending belongs to the dead, what remains waits for a timer.
    if (!(await this.#steal())) {
      const fired = await fireTimers(this.#p.scripts);
      if (fired.nextMs !== null) {
        await this.#p.advance(fired.nextMs - (await redisTimeMs(this.#p.scripts)) + 1);
        await Promise.all([fireTimers(this.#p.scripts), fireTimers(this.#p.scripts)]);
      }
    }
  }

  async #read(): Promise<void> {
    const consumer = this.#pick(CONSUMERS);
    const count = 1 + Math.floor(this.#s.random() * 8);
    const { queueKeys, entryKeys } = this.#profile;
    const keys = [...queueKeys, ...entryKeys];
    const reply = (await this.#p.redis.call(
      "XREADGROUP",
      ...["GROUP", GROUP, consumer, "COUNT", String(count), "STREAMS", ...keys],
      ...keys.map(() => ">"),
    )) as [string, [string, string[]][]][] | null;
    for (const [key, entries] of reply ?? []) {
      for (const [id, fields] of entries) {
        this.#held.push({ token: parseEntry(key, id, fields) as ReadyToken, consumer });
      }
    }
  }

  /** Another consumer takes everything pending: of the dead and of the living. */
  async #steal(): Promise<boolean> {
    const consumer = this.#pick(CONSUMERS);
    const { queueKeys, entryKeys } = this.#profile;
    const tokens = await claimAll(this.#p.redis, [...queueKeys, ...entryKeys], consumer);
    this.#held.push(...tokens.map((token) => ({ token, consumer, again: true })));
    return tokens.length > 0;
  }

  async #complete(): Promise<void> {
    const count = 1 + Math.floor(this.#s.random() * 4);
    const tokens: Held[] = [];
    for (let i = 0; i < count && this.#held.length > 0; i++) {
      const at = Math.floor(this.#s.random() * this.#held.length);
      tokens.push(...this.#held.splice(at, 1));
    }
    if (this.#s.random() < this.#s.die) {
      return; // died with them: they stay pending
    }
    const items = await this.#items(tokens);
    if (this.#s.random() < this.#s.late) {
      this.#late.push(...items);
      return;
    }
    await this.#send(items);
    if (this.#s.random() < this.#s.duplicate) {
      await this.#send(items);
    }
    if (this.#late.length > 0 && this.#s.random() < 0.3) {
      await this.#send(this.#late.splice(0));
    }
  }

  async #items(held: Held[]): Promise<Sent[]> {
    const sent: Sent[] = [];
    for (const one of held) {
      const redelivered = one.again === true || this.#s.random() < 0.5;
      const [preparation] = await this.#preparer.prepare([one.token], redelivered);
      if (preparation === undefined || preparation.kind === "unknown") {
        throw new Error("a token of an unknown workflow");
      }
      if (preparation.kind === "drop") {
        const { token, profile } = preparation;
        const node = profile.ir.nodes[token.node];
        if (node !== undefined) {
          sent.push({ item: this.#executor.item({ token, profile, node }), held: one });
        }
      } else if (preparation.kind === "hold") {
        // Sometimes the worker dies before it: the entry stays pending.
        if (this.#s.random() >= this.#s.die) {
          await holdTokens(this.#p.scripts, [preparation.token]);
        }
      } else if (preparation.prepared.token.kind === "finish") {
        const { token } = preparation.prepared;
        await finish(this.#p.scripts, this.#profile, token, token.entryId);
      } else {
        const { token } = preparation.prepared;
        const item = this.#execute(preparation.prepared);
        item.keeps = chainNext(item, token.scope) !== null && this.#s.random() < 0.7;
        sent.push({ item, held: { ...one, token } });
      }
    }
    return sent;
  }

  #execute(p: Prepared): CompletionItem {
    const executor = this.#executor;
    let vars = {};
    try {
      const begun = executor.begin(p, 0);
      vars = begun.vars;
      const output = begun.settled === null ? runSync(p, vars, begun.input) : null;
      return begun.settled ?? executor.succeed(p, vars, output, 0);
    } catch (error) {
      return executor.fail(p, vars, toExecutionError(error), 0);
    }
  }

  /** One call per consumer, in order. */
  async #send(sent: Sent[]): Promise<void> {
    for (const consumer of CONSUMERS) {
      const own = sent.filter(({ held }) => held.consumer === consumer);
      if (own.length > 0) {
        await this.#call(own, consumer);
      }
    }
  }

  async #call(sent: Sent[], consumer: string): Promise<void> {
    const items = sent.map(({ item }) => item);
    const codes = await completeTokens(this.#p.scripts, items, consumer);
    for (const [i, code] of codes.entries()) {
      const { item, held } = sent[i] as Sent;
      if (code === COMPLETION.planFailed || code === COMPLETION.applyFailed) {
        throw new Error(`item not settled (${code}): ${JSON.stringify(item.results)}`);
      }
      if (this.#s.random() < this.#s.die) {
        continue; // died with the answer: a timer or a redelivery brings the rest to another one
      }
      if (code === COMPLETION.finish) {
        const queueKey = item.profile.queueKeys[item.queue] as string;
        await finish(this.#p.scripts, item.profile, { ...item, queueKey }, null);
      } else if (code === COMPLETION.goOn) {
        const node = chainNext(item, held.token.scope) as number;
        this.#held.push({ token: nextToken(held.token, item, node), consumer });
      } else if (code === COMPLETION.entryYours) {
        this.#held.push({ ...held, again: true });
      }
    }
  }

  /** After the end: whatever is still around must be refused and acknowledged. */
  async #settleRest(): Promise<void> {
    await this.#send(this.#late.splice(0));
    for (;;) {
      await this.#read();
      await this.#steal();
      if (this.#held.length === 0) {
        return;
      }
      await this.#send(await this.#items(this.#held.splice(0)));
    }
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#s.random() * from.length)] as T;
  }
}
