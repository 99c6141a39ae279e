/**
 * Drives runs through the real scripts on a real Redis, with the worker's own planning code and a
 * schedule drawn from a seed: consumers that die before or after a call, entries stolen from live
 * consumers, results sent twice or late, several items of one run in a batch, timers fired twice,
 * chains that one consumer runs without a queue hop, or does not.
 * One process, no threads, no clock: the same seed gives the same schedule.
 */
import type { Json } from "../../compiler/ir.ts";
import {
  BlobTaker,
  completeTokens,
  COMPLETION,
  fireTimers,
  parseJournalRecord,
  pauseRun,
  planRedrive,
  redisTimeMs,
  redriveRun,
  releaseRuns,
  resumeRun,
  startRuns,
  type JournalRecord,
  type RedriveWish,
  type RunProfile,
} from "../../sdk/internal.ts";
import { releaseMapsOfEnded } from "../../supervisor/release-maps.ts";
import { chainNext, nextPrepared } from "../../worker/chain.ts";
import type { Prepared } from "../../worker/prepared.ts";
import { countTransitions } from "./cases.ts";
import { claimAll, readAll } from "./deliveries.ts";
import type { DrivenLimits } from "./driven-limits.ts";
import { DrivenWorker, type Held, type Sent } from "./driven-worker.ts";
import { assertCounter } from "./invariants.ts";
import { queueKeysOf, type TestPartition } from "./partition.ts";
import { CONSUMERS, dies, pick, type Schedule } from "./schedule.ts";

export interface DriveResult {
  records: JournalRecord[];
  hash: { [field: string]: string };
  steps: number;
}

const STEPS_MAX = 20_000;

export class Driver {
  readonly #p: TestPartition;
  readonly #profile: RunProfile;
  readonly #s: Schedule;
  readonly #worker: DrivenWorker;
  readonly #queueKeys: readonly string[];
  readonly #bindings: string;
  /** Steps that a chain went on to: every other one without a look at its run. */
  #chained = 0;
  /** Asked after every step. */
  readonly #look: (runId: string) => Promise<void>;
  #held: Held[] = [];
  #epoch = 1;
  #late: Sent[] = [];

  constructor(
    partition: TestPartition,
    profile: RunProfile,
    schedule: Schedule,
    look: (runId: string) => Promise<void> = () => Promise.resolve(),
    children: { [ref: string]: RunProfile } = {},
  ) {
    this.#p = partition;
    this.#profile = profile;
    this.#s = schedule;
    this.#look = look;
    this.#worker = new DrivenWorker(partition, schedule);
    const hashes = Object.entries(children).map(([ref, { irHash }]) => [ref, irHash]);
    this.#bindings = JSON.stringify(Object.fromEntries(hashes));
    const all = [profile, ...Object.values(children)];
    this.#queueKeys = [...new Set(all.flatMap((one) => queueKeysOf(one)))];
  }

  /** Circuits and rate limits of its nodes. */
  get limits(): DrivenLimits {
    return this.#worker.limits;
  }

  /** Runs one run to its end; `begun`: as RunStart.start. Throws if it hangs or breaks an invariant. */
  async run(runId: string, input: Json, begun: string | null = null): Promise<DriveResult> {
    const { scripts } = this.#p;
    const notAfterMs = (await redisTimeMs(scripts)) + 30_000;
    const large = new BlobTaker();
    const start = {
      profile: this.#profile,
      runId,
      epoch: 1,
      input: large.text(JSON.stringify(input)),
      blobs: large.blobs,
      bindings: this.#bindings,
      notAfterMs,
      start: begun,
    };
    const [code] = await startRuns(scripts, [start]);
    if (code !== 0) {
      throw new Error(`the run did not start: ${code}`);
    }
    const result = await this.#drive(runId);
    countTransitions(result.records);
    return result;
  }

  /** Redrives a run that has failed and drives it to its next end. */
  async redrive(runId: string, input: Json, wish: RedriveWish): Promise<DriveResult> {
    const { scripts } = this.#p;
    const journal = (await this.records()).flatMap((record) =>
      record.transitions.map((transition) => ({ transition, t: record.t })),
    );
    const { state, redriven } = planRedrive(this.#profile.ir, journal, wish);
    await releaseMapsOfEnded(scripts, [runId]);
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

  /** The whole journal. */
  async records(): Promise<JournalRecord[]> {
    const entries = await this.#p.redis.xrange(this.#p.scripts.keys.ev, "-", "+");
    return entries.map(([id, fields]) => parseJournalRecord(id, fields));
  }

  async #drive(runId: string): Promise<DriveResult> {
    const { scripts, redis } = this.#p;
    for (let step = 1; step <= STEPS_MAX; step++) {
      await this.#pauseOrResume(runId);
      await this.#s.outside?.(false);
      await this.#step();
      const hash = await redis.hgetall(scripts.keys.run(runId));
      if ((hash["s"] ?? "asleep") !== "asleep") {
        assertCounter(this.#profile.ir, hash);
      }
      await this.#look(runId);
      if (["completed", "failed", "cancelled"].includes(hash["s"] ?? "")) {
        await this.#settleRest();
        const records = await this.records();
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
    await this.#worker.catchUp(1);
    // Nothing to read: what is pending belongs to the dead, what remains waits for a timer.
    if (!(await this.#steal())) {
      const fired = await fireTimers(this.#p.scripts);
      if (fired.nextMs !== null) {
        await this.#p.advance(fired.nextMs - (await redisTimeMs(this.#p.scripts)) + 1);
        await Promise.all([fireTimers(this.#p.scripts), fireTimers(this.#p.scripts)]);
      } else {
        await this.#s.outside?.(true);
      }
    }
  }

  async #read(): Promise<void> {
    const consumer = pick(this.#s, CONSUMERS);
    const count = 1 + Math.floor(this.#s.random() * 8);
    const tokens = await readAll(this.#p.redis, this.#queueKeys, consumer, count);
    this.#held.push(...tokens.map((token) => ({ token, consumer })));
  }

  /** Another consumer takes everything pending: of the dead and of the living. */
  async #steal(): Promise<boolean> {
    const consumer = pick(this.#s, CONSUMERS);
    const tokens = await claimAll(this.#p.scripts.redis, this.#queueKeys, consumer);
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
    if (dies(this.#s)) {
      return; // died with them: they stay pending
    }
    const items = await this.#items(tokens);
    if (this.#s.random() < this.#s.late) {
      this.#late.push(...items);
      return;
    }
    await this.#send(items);
    if (this.#s.random() < this.#s.duplicate) {
      const { repeats } = this.#s;
      const times = repeats === undefined ? 1 : 1 + Math.floor(this.#s.random() * repeats);
      for (let i = 0; i < times; i++) {
        await this.#send(items);
      }
    }
    if (this.#late.length > 0 && this.#s.random() < 0.3) {
      await this.#send(this.#late.splice(0));
    }
  }

  async #items(held: readonly Held[]): Promise<Sent[]> {
    const sent: Sent[] = [];
    for (const one of held) {
      const made = await this.#worker.settle(one);
      if (made !== null) {
        sent.push(made);
      }
    }
    return sent;
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
      const { item, held, prepared } = sent[i] as Sent;
      if (code === COMPLETION.planFailed || code === COMPLETION.applyFailed) {
        throw new Error(`item not settled (${code}): ${JSON.stringify(item.results)}`);
      }
      if (dies(this.#s)) {
        continue; // died with the answer: a timer or a redelivery brings the rest to another one
      }
      if (code === COMPLETION.finish) {
        const queueKey = item.profile.queueKeys[item.queue] as string;
        await this.#worker.finish(item.profile, { ...held.token, queueKey }, null);
      } else if (code === COMPLETION.goOn) {
        const node = chainNext(item, held.token.scope) as number;
        const next = nextPrepared(prepared as Prepared, item, node);
        this.#chained += 1;
        const known = next.isWhole && this.#chained % 2 === 0 ? { known: next.prepared } : {};
        this.#held.push({ token: next.prepared.token, consumer, again: true, ...known });
      } else if (code === COMPLETION.entryYours) {
        this.#held.push({ ...held, again: true });
      }
    }
  }

  /** After the end: whatever is still around must be refused and acknowledged. */
  async #settleRest(): Promise<void> {
    await this.#send(this.#late.splice(0));
    await this.#worker.catchUp(Infinity);
    for (;;) {
      await this.#read();
      await this.#steal();
      if (this.#held.length === 0) {
        return;
      }
      await this.#send(await this.#items(this.#held.splice(0)));
    }
  }
}
