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
  type ScriptRunner,
} from "./imports.ts";
import type { Vars } from "../../condition/index.ts";
import { releaseMapsOf } from "../../supervisor/release-maps.ts";
import { childItem, stepChild } from "../../worker/children.ts";
import { Elements, finishElement } from "../../worker/elements.ts";
import { Executor, type Prepared } from "../../worker/execute.ts";
import { chainNext, nextToken } from "../../worker/chain.ts";
import { finish } from "../../worker/finish.ts";
import { toExecutionError } from "../../worker/kinds/kind.ts";
import { Maps, noResults, planMap } from "../../worker/maps.ts";
import { Preparer } from "../../worker/prepare.ts";
import { Workflows } from "../../worker/workflows.ts";
import { countTransitions } from "./cases.ts";
import { queueKeysOf, type TestPartition } from "./partition.ts";
import { assertCounter } from "./invariants.ts";
import { runSync } from "./run-sync.ts";

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
  /**
   * People and other programs, who may act before every step. `isIdle`: nothing but they can move
   * the run on. Whether they could.
   */
  outside?(isIdle: boolean): Promise<boolean>;
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

/** What happens to a worker in the middle of expanding a map. */
class Died extends Error {}

/** Items of one call when a map is expanded: small, so that small maps take several calls. */
const CHUNK = 2;

const STEPS_MAX = 20_000;
const CONSUMERS = ["c0", "c1", "c2"];

export class Driver {
  readonly #p: TestPartition;
  readonly #profile: RunProfile;
  readonly #s: Schedule;
  readonly #preparer: Preparer;
  readonly #executor: Executor;
  readonly #elements: Elements;
  readonly #maps: Maps;
  readonly #queueKeys: readonly string[];
  readonly #workflows: Workflows;
  readonly #bindings: string;
  /** Asked after every step. */
  readonly #look: (runId: string) => Promise<void>;
  /** Expansions of maps by workers that are slow. */
  #lateMaps: (() => Promise<void>)[] = [];
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
    const workflows = new Workflows(partition.redis);
    this.#workflows = workflows;
    const hashes = Object.entries(children).map(([ref, { irHash }]) => [ref, irHash]);
    this.#bindings = JSON.stringify(Object.fromEntries(hashes));
    this.#preparer = new Preparer(partition.scripts.redis, workflows, 0);
    this.#elements = new Elements(partition.scripts.redis, partition.scripts.keys);
    this.#maps = new Maps(this.#dying(), workflows, CHUNK);
    const all = [profile, ...Object.values(children)];
    this.#queueKeys = [...new Set(all.flatMap((one) => queueKeysOf(one)))];
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
      bindings: this.#bindings,
      notAfterMs,
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
    await releaseMapsOf(scripts.redis, scripts.keys, [runId]);
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
    await this.#lateMaps.shift()?.();
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
    const consumer = this.#pick(CONSUMERS);
    const count = 1 + Math.floor(this.#s.random() * 8);
    const keys = this.#queueKeys;
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
      await this.#preparer.news.look(this.#p.scripts.redis);
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
        const { token, profile } = preparation.prepared;
        await this.#finish(profile, token, token.entryId);
      } else {
        const { token } = preparation.prepared;
        const item = await this.#execute(preparation.prepared);
        if (item === null) {
          continue; // a map: its elements run by themselves, or the worker died
        }
        item.keeps = chainNext(item, token.scope) !== null && this.#s.random() < 0.7;
        sent.push({ item, held: { ...one, token } });
      }
    }
    return sent;
  }

  async #finish(
    profile: RunProfile,
    token: Pick<ReadyToken, "runId" | "unit" | "epoch" | "queueKey">,
    entryId: string | null,
  ): Promise<void> {
    const { scripts } = this.#p;
    if (token.unit === token.runId) {
      await finish(scripts, profile, token, entryId);
    } else {
      await finishElement(scripts, this.#elements, profile, token, entryId);
    }
  }

  /** The scripts of a worker that may die before any call. */
  #dying(): ScriptRunner {
    const { scripts } = this.#p;
    const dying = {
      redis: scripts.redis,
      keys: scripts.keys,
      nonce: () => scripts.nonce(),
      transition: async (...call: Parameters<ScriptRunner["transition"]>) => {
        if (this.#s.random() < this.#s.die) {
          throw new Died();
        }
        return scripts.transition(...call);
      },
    };
    return dying as unknown as ScriptRunner;
  }

  /** Null: there is nothing to send. */
  async #map(p: Prepared, vars: Vars, input: Json): Promise<CompletionItem | null> {
    if (p.token.kind === "gather") {
      return this.#executor.collected(p, vars, await this.#maps.collect(p), 0);
    }
    const plan = planMap(p, vars, input);
    if (plan.items.length === 0) {
      return this.#executor.collected(p, vars, noResults(p.node), 0);
    }
    const expand = async (): Promise<void> => {
      await this.#maps.expand(p, plan).catch((error: unknown) => {
        if (!(error instanceof Died)) {
          throw error;
        }
      });
    };
    if (this.#s.random() < this.#s.late) {
      this.#lateMaps.push(expand);
    } else {
      await expand();
    }
    return null;
  }

  async #execute(p: Prepared): Promise<CompletionItem | null> {
    const executor = this.#executor;
    let vars = {};
    try {
      const begun = executor.begin(p, 0);
      vars = begun.vars;
      if (p.node.type === "map" && begun.settled === null) {
        return await this.#map(p, vars, begun.input);
      }
      if (p.node.type === "subworkflow" && begun.settled === null) {
        return await this.#child(p, vars, begun.input);
      }
      const output = begun.settled === null ? runSync(p, vars, begun.input) : null;
      return begun.settled ?? executor.succeed(p, vars, output, 0);
    } catch (error) {
      return executor.fail(p, vars, toExecutionError(error), 0);
    }
  }

  /** Null: the token is parked, or the worker died when it was. */
  async #child(p: Prepared, vars: Vars, input: Json): Promise<CompletionItem | null> {
    const { random, die, duplicate } = this.#s;
    const options = { scripts: this.#p.scripts, workflows: this.#workflows };
    if (random() < duplicate) {
      await stepChild(options, p, input); // by somebody who died with the answer
    }
    const item = await childItem({ ...options, executor: this.#executor }, p, vars, input);
    return random() < die ? null : item;
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
        await this.#finish(item.profile, { ...held.token, queueKey }, null);
      } else if (code === COMPLETION.goOn) {
        const node = chainNext(item, held.token.scope) as number;
        this.#held.push({ token: nextToken(held.token, item, node), consumer, again: true });
      } else if (code === COMPLETION.entryYours) {
        this.#held.push({ ...held, again: true });
      }
    }
  }

  /** After the end: whatever is still around must be refused and acknowledged. */
  async #settleRest(): Promise<void> {
    await this.#send(this.#late.splice(0));
    for (const expand of this.#lateMaps.splice(0)) {
      await expand();
    }
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
