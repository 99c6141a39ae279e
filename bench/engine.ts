/**
 * The real engine: a supervisor process, one or more worker processes, and this process, which
 * submits through the queue and looks when everything is COMPLETED in Postgres.
 */
import { uuidv7 } from "uuidv7";
import { connectRedis, globalKeys, partitionKeys, type Redis } from "../sdk/internal.ts";
import { startRole, type RoleProcess } from "./roles.ts";
import type { Services } from "./services.ts";
import type { Pids } from "./usage.ts";
import { STEP_OUTPUT, type Work } from "./workloads.ts";
import { pause } from "../cmd/embedded/sockets.ts";

export const CONCURRENCY = 256;
const SUBMIT_BATCH = 250;
const POLL_MS = 20;
/** Submissions not yet answered: what is beyond that waits here and not in Redis. */
const WINDOW = 50_000;
/** Between two batches of an open load. */
const TICK_MS = 10;

// It is asked fifty times a second: a look at one row, not a count (that took 20 % of Postgres' CPU).
const UNFINISHED = {
  name: "bench_unfinished",
  text: "SELECT EXISTS (SELECT 1 FROM active_runs) AS unfinished",
};
const HASH_OF = { name: "bench_hash", text: "SELECT ir_hash AS hash FROM runs WHERE id = $1" };

interface Reply {
  submission_id: string;
  run_id: string | null;
  status: string;
  errors?: unknown;
}

/** What an engine is started with; everything has a default. */
export interface EngineOptions {
  workers?: number;
  partitions?: number;
  /** Tokens in execution per worker. */
  concurrency?: number;
  /** Records of a partition that may wait to be archived. */
  backlogRecordsMax?: number;
  /** Names of the profiles begin with this; null: none. */
  profile?: string | null;
}

/** A running engine, and a client of it. */
export class Engine {
  readonly services: Services;
  readonly redis: Redis;
  readonly partitions: number;
  readonly supervisor: RoleProcess;
  readonly workers: readonly RoleProcess[];
  readonly #replies: Redis;
  readonly #replyTo = globalKeys.repliesOf(`bench-${uuidv7()}`);
  readonly #hashes = new Map<string, string>();
  #repliedId = "0-0";

  private constructor(services: Services, partitions: number, roles: RoleProcess[]) {
    const [supervisor, ...workers] = roles as [RoleProcess, ...RoleProcess[]];
    this.services = services;
    this.partitions = partitions;
    this.supervisor = supervisor;
    this.workers = workers;
    this.redis = connectRedis({ url: services.redisUrl }, "bench:submit");
    this.#replies = connectRedis({ url: services.redisUrl }, "bench:replies");
  }

  static async start(services: Services, options: EngineOptions = {}): Promise<Engine> {
    const { workers = 1, partitions = 1, concurrency = CONCURRENCY, profile = null } = options;
    const { redisUrl, databaseUrl, singleSession } = services;
    const { backlogRecordsMax } = options;
    const common = { redisUrl, databaseUrl, singleSession, concurrency, partitions };
    const nameOf = (role: string): string | null =>
      profile === null ? null : `${profile}-${role}`;
    const limit = backlogRecordsMax === undefined ? {} : { backlogRecordsMax };
    const roles = [
      await startRole("supervisor", { ...common, ...limit, id: "bench" }, nameOf("supervisor")),
    ];
    for (let i = 1; i <= workers; i++) {
      roles.push(await startRole("worker", { ...common, id: `bench-${i}` }, nameOf(`worker${i}`)));
    }
    return new Engine(services, partitions, roles);
  }

  /** The first worker. */
  get worker(): RoleProcess {
    return this.workers[0] as RoleProcess;
  }

  /** The processes that take part. */
  get pids(): Pids {
    const { redis, postgres } = this.services.pids;
    const [worker, supervisor] = [this.workers.map(({ pid }) => pid), this.supervisor.pid];
    return { worker, supervisor, submitter: process.pid, redis, postgres };
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await this.supervisor.stop();
    this.redis.disconnect();
    this.#replies.disconnect();
  }

  /** Submits one run and waits for its acceptance; gives its id. */
  async submit({ document, input = STEP_OUTPUT }: Pick<Work, "document" | "input">) {
    const key = JSON.stringify(document);
    const hash = this.#hashes.get(key);
    const what = hash === undefined ? { workflow: document } : { hash };
    await this.#add([{ ...what, input, reply_to: this.#replyTo }]);
    let id = "";
    await this.#take(1, (reply) => (id = reply.run_id ?? ""));
    if (hash === undefined) {
      const [row] = await this.services.db.query<{ hash: string }>(HASH_OF, [id]);
      this.#hashes.set(key, row?.hash ?? "");
    }
    return id;
  }

  /**
   * Submits runs, of several documents in turns, as fast as they are accepted with WINDOW of them
   * unanswered. Gives the seconds until all are accepted. Each document was submitted before.
   */
  async submitMany(works: Work | readonly Work[], runs: number, onRun?: (id: string) => void) {
    const list = Array.isArray(works) ? (works as readonly Work[]) : [works as Work];
    const known = list.map(({ document, input = STEP_OUTPUT }) => ({
      ...{ hash: this.hashOf(document), input, reply_to: this.#replyTo },
    }));
    const start = performance.now();
    let answered = 0;
    const accepted = this.#take(runs, (reply) => {
      answered++;
      onRun?.(reply.run_id ?? "");
    }).then(() => (performance.now() - start) / 1000);
    for (let from = 0; from < runs; from += SUBMIT_BATCH) {
      const count = Math.min(SUBMIT_BATCH, runs - from);
      await this.#add(Array.from({ length: count }, (_, i) => known[(from + i) % known.length]!));
      while (from + count - answered > WINDOW) {
        await Promise.race([pause(POLL_MS), accepted]);
      }
    }
    return accepted;
  }

  /**
   * Submits `perSecond` runs for `seconds`, whatever becomes of them: an open load, which does not
   * slow down with the engine. Ids carry the time of submission. Gives how many were submitted.
   */
  async offer({ document, input = STEP_OUTPUT }: Work, perSecond: number, seconds: number) {
    const hash = this.hashOf(document);
    const start = performance.now();
    let sent = 0;
    for (;;) {
      const elapsed = (performance.now() - start) / 1000;
      const due = Math.round(Math.min(elapsed, seconds) * perSecond) - sent;
      const one = (): object => ({ hash, input, run_id: uuidv7() });
      await this.#add(Array.from({ length: due }, one));
      sent += due;
      if (elapsed >= seconds) {
        return sent;
      }
      await pause(TICK_MS);
    }
  }

  /** Hash of a document that was submitted. */
  hashOf(document: object): string {
    const hash = this.#hashes.get(JSON.stringify(document));
    if (hash === undefined) {
      throw new Error("submit this document once before many runs of it");
    }
    return hash;
  }

  /**
   * Resolves when no run is unfinished in Postgres. It is asked only where the journal stands still: it
   * would walk over all that has ended since its last vacuum, each time, at the engine's expense.
   */
  async idle(pollMs = POLL_MS): Promise<void> {
    for (let before = "", now = ""; ; before = now) {
      now = await this.#tails();
      if (now === before && (await this.redis.xlen(globalKeys.submissions)) === 0) {
        const [row] = await this.services.db.query<{ unfinished: boolean }>(UNFINISHED);
        if (row?.unfinished === false) {
          return;
        }
      }
      await pause(pollMs);
    }
  }

  /** How far the journals of all partitions have come. */
  async #tails(): Promise<string> {
    const partitions = Array.from({ length: this.partitions }, (_, p) => partitionKeys(p));
    const tails = partitions.map(({ meta }) => this.redis.hget(meta, "seq"));
    return (await Promise.all(tails)).join();
  }

  /** Waits until what ended has been released, so that it costs the next measurement nothing. */
  async released(): Promise<void> {
    for (let p = 0; p < this.partitions; p++) {
      while ((await this.redis.zcard(partitionKeys(p).release)) > 0) {
        await pause(POLL_MS);
      }
    }
  }

  async #add(submissions: object[]): Promise<void> {
    if (submissions.length === 0) {
      return;
    }
    const pipeline = this.redis.pipeline();
    for (const submission of submissions) {
      pipeline.xadd(globalKeys.submissions, "*", "submission", JSON.stringify(submission));
    }
    await pipeline.exec();
  }

  /** Hears the next `count` answers; throws at a rejection. */
  async #take(count: number, heard: (reply: Reply) => void): Promise<void> {
    for (let taken = 0; taken < count;) {
      const read = ["COUNT", 1000, "BLOCK", 1000, "STREAMS", this.#replyTo, this.#repliedId];
      const reply = (await this.#replies.call("XREAD", ...read)) as StreamReply;
      for (const [id, fields] of reply?.[0]?.[1] ?? []) {
        this.#repliedId = id;
        const answer = JSON.parse(fields[1] ?? "{}") as Reply;
        if (answer.status !== "accepted") {
          throw new Error(`a submission was rejected: ${JSON.stringify(answer.errors)}`);
        }
        taken++;
        heard(answer);
      }
    }
  }
}

type StreamReply = [string, [string, string[]][]][] | null;
