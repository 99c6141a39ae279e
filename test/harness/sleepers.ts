/**
 * Runs fall asleep and are woken at any moment: what the supervisor does with a Postgres (sleeper,
 * archiver, releaser, waker), with the journal in place of it. A frozen run may stay here for a while,
 * two wakers may be at one run, and one may die after its ticket.
 */
import { CommandList } from "../../supervisor/writer.ts";
import { childrenAwaited } from "../../supervisor/ended-children.ts";
import { foldHot, writeRun } from "../../supervisor/write-run.ts";
import type { RunRow } from "../../sdk/postgres/index.ts";
import {
  beginWake,
  evictRuns,
  hibernateRuns,
  parseJournalRecord,
  redisTimeMs,
  releaseRuns,
  wakeRun,
  type HotState,
  type RunProfile,
} from "../../sdk/internal.ts";
import type { TestPartition } from "./partition.ts";

type Hash = { [field: string]: string };

export interface SleeperOptions {
  partition: TestPartition;
  profiles: ReadonlyMap<string, RunProfile>;
  /** Every run that has begun, with its IR hash. */
  runs: () => ReadonlyMap<string, string>;
  random: () => number;
  /** Probability, per step, that somebody does something. */
  chance: number;
}

/** What Postgres keeps of a run beside its journal. */
interface Kept {
  seq: number;
  hash: Hash;
  blobs: Hash;
}

const FINAL = new Set(["completed", "failed", "cancelled"]);

export class Sleepers {
  /** How often a run was woken; of these, one that is paused, one with a map under way. */
  woken = 0;
  wokenPaused = 0;
  wokenWithMap = 0;
  readonly #o: SleeperOptions;
  readonly #asleep = new Map<string, Kept>();
  readonly #epochs = new Map<string, number>();

  constructor(options: SleeperOptions) {
    this.#o = options;
  }

  /** Whether the run is asleep. */
  has(runId: string): boolean {
    return this.#asleep.has(runId);
  }

  /** Wakes all, so that what nobody waits for can be cancelled. */
  async wakeAll(): Promise<void> {
    while (this.#asleep.size > 0) {
      await this.#all(false);
    }
  }

  /** Perhaps one falls asleep, leaves or is woken; false: nothing was done. */
  async act(isIdle: boolean): Promise<boolean> {
    const { random, chance, runs } = this.#o;
    if (isIdle) {
      return this.#all(chance > random());
    }
    if (random() >= chance) {
      return false;
    }
    for (const runId of runs().keys()) {
      const kept = this.#asleep.get(runId);
      if (kept === undefined) {
        await this.#hibernate(runId);
      } else if (random() < 0.4) {
        await evictRuns(this.#o.partition.scripts, [{ runId, seq: kept.seq }]);
      } else if (random() < 0.4) {
        await this.#wake(runId);
      }
    }
    return false;
  }

  /** Nothing else can go on: those that sleep are woken, or, if none does, all that can fall asleep. */
  async #all(mayFall: boolean): Promise<boolean> {
    const asleep = [...this.#asleep.keys()];
    for (const runId of asleep) {
      await this.#wake(runId);
    }
    for (const runId of asleep.length === 0 && mayFall ? this.#o.runs().keys() : []) {
      await this.#hibernate(runId);
    }
    return asleep.length + this.#asleep.size > 0;
  }

  async #hibernate(runId: string): Promise<void> {
    const { scripts, redis } = this.#o.partition;
    const [answer] = await hibernateRuns(scripts, [runId], 0);
    if (answer === "asleep") {
      const hash = await redis.hgetall(scripts.keys.run(runId));
      const blobs = await redis.hgetall(scripts.keys.blobs(runId));
      this.#asleep.set(runId, { seq: Number(hash["sl"]), hash, blobs });
    }
  }

  async #wake(runId: string): Promise<void> {
    const { scripts } = this.#o.partition;
    const { random } = this.#o;
    const kept = this.#asleep.get(runId) as Kept;
    const place = [{ runId, seq: kept.seq }];
    const [turn] = await beginWake(scripts, "first", place);
    if (turn?.kind !== "yours") {
      throw new Error(`sleeping run ${runId} is ${turn?.kind}`);
    }
    if (random() < 0.2) {
      return; // died: the ticket stays
    }
    const { list, state } = await this.#commands(runId, kept);
    const { commands } = list;
    if (random() < 0.3) {
      await beginWake(scripts, "second", place);
      await this.#expect(false, { runId, ticket: "first", commands });
      await this.#expect(true, { runId, ticket: "second", commands });
      await this.#expect(false, { runId, ticket: "first", commands });
    } else {
      await this.#expect(true, { runId, ticket: "first", commands });
    }
    this.woken += 1;
    this.wokenPaused += state.status === "paused" ? 1 : 0;
    this.wokenWithMap += [...state.tokens.values()].some((token) => token.state === "m") ? 1 : 0;
    this.#asleep.delete(runId);
    const ended: string[] = [];
    for (const child of childrenAwaited(state)) {
      const status = await this.#o.partition.redis.hget(scripts.keys.run(child), "s");
      ended.push(...(FINAL.has(status ?? "") ? [child] : []));
    }
    await (ended.length === 0 ? undefined : releaseRuns(scripts, ended, []));
  }

  async #expect(written: boolean, wake: Parameters<typeof wakeRun>[1]): Promise<void> {
    if ((await wakeRun(this.#o.partition.scripts, wake)) !== written) {
      throw new Error(`ticket ${wake.ticket} of ${wake.runId}: ${String(written)} was expected`);
    }
  }

  async #commands(runId: string, kept: Kept): Promise<{ list: CommandList; state: HotState }> {
    const { scripts, redis } = this.#o.partition;
    const profile = this.#o.profiles.get(this.#o.runs().get(runId) ?? "") as RunProfile;
    const journal = (await redis.xrange(scripts.keys.ev, "-", "+")).flatMap(([id, fields]) => {
      const { t, transitions } = parseJournalRecord(id, fields);
      const own = transitions.filter(({ r }) => r === runId);
      return own.map((transition) => ({ position: "", t, transition }));
    });
    const state = foldHot(profile, journal);
    const epoch = (this.#epochs.get(runId) ?? 1) + 1;
    this.#epochs.set(runId, epoch);
    const list = new CommandList();
    list.del(scripts.keys.run(runId), scripts.keys.blobs(runId));
    list.hset(scripts.keys.blobs(runId), kept.blobs);
    writeRun(list, profile, rowOf(runId, epoch, kept.hash), state, await redisTimeMs(scripts));
    return { list, state };
  }
}

function rowOf(id: string, epoch: number, hash: Hash): RunRow {
  const [namespace = "", priority = "normal"] = (hash["m"] ?? "").split("|");
  const row = {
    ...{ id, epoch, namespace, priority, irHash: hash["ir"], input: hash["in"] ?? "null" },
    ...{
      bindings: hash["sub"] ?? null,
      depth: Number(hash["dep"] ?? 0),
      parent: hash["up"] ?? null,
    },
  };
  return row as unknown as RunRow;
}
