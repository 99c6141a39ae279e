/**
 * The real engine on a workload: a supervisor process, one worker process, and this process, which
 * submits through the queue and looks when everything is COMPLETED in Postgres.
 */
import { uuidv7 } from "uuidv7";
import { connectRedis, globalKeys, partitionKeys, type Redis } from "../sdk/internal.ts";
import { startRole, type RoleProcess } from "./roles.ts";
import type { ThroughputRow } from "./rows.ts";
import type { Services } from "./services.ts";
import { round, startUsage } from "./usage.ts";
import { documentOf, STEP_OUTPUT, type Shape } from "./workloads.ts";
import { pause } from "../cmd/embedded/sockets.ts";

const CONCURRENCY = 256;
const SUBMIT_BATCH = 250;
const POLL_MS = 20;
const WARM_UP_RUNS = 300;

const UNFINISHED = {
  name: "bench_unfinished",
  text: `SELECT count(*)::int AS n FROM runs
    WHERE status IN ('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')`,
};
const OF_DEFINITION = {
  name: "bench_of_definition",
  text: "SELECT status, count(*)::int AS n FROM runs WHERE created_at_ms >= $1 GROUP BY status",
};
const HASH_OF = { name: "bench_hash", text: "SELECT ir_hash AS hash FROM runs WHERE id = $1" };

interface Reply {
  submission_id: string;
  run_id: string | null;
  status: string;
  errors?: unknown;
}

/** A running engine, and a client of it. */
export class Engine {
  readonly services: Services;
  readonly redis: Redis;
  readonly supervisor: RoleProcess;
  readonly worker: RoleProcess;
  readonly #replies: Redis;
  readonly #replyTo = globalKeys.repliesOf(`bench-${uuidv7()}`);
  readonly #hashes = new Map<string, string>();
  #repliedId = "0-0";

  private constructor(services: Services, supervisor: RoleProcess, worker: RoleProcess) {
    this.services = services;
    this.supervisor = supervisor;
    this.worker = worker;
    this.redis = connectRedis({ url: services.redisUrl }, "bench:submit");
    this.#replies = connectRedis({ url: services.redisUrl }, "bench:replies");
  }

  static async start(services: Services, profile: boolean): Promise<Engine> {
    const supervisor = await startRole("supervisor", roleOptions(services), profile);
    const worker = await startRole("worker", roleOptions(services), profile);
    return new Engine(services, supervisor, worker);
  }

  async stop(): Promise<void> {
    await this.worker.stop();
    await this.supervisor.stop();
    this.redis.disconnect();
    this.#replies.disconnect();
  }

  /** Submits one run of a document and waits for its acceptance; gives its id. */
  async submit(document: object, input: unknown = STEP_OUTPUT): Promise<string> {
    const key = JSON.stringify(document);
    const hash = this.#hashes.get(key);
    const what = hash === undefined ? { workflow: document } : { hash };
    await this.#add([{ ...what, input }]);
    const [reply] = await this.#take(1);
    const id = reply?.run_id ?? "";
    if (hash === undefined) {
      const [row] = await this.services.db.query<{ hash: string }>(HASH_OF, [id]);
      this.#hashes.set(key, row?.hash ?? "");
    }
    return id;
  }

  /** Submits runs of a document that was submitted before; gives seconds until all are accepted. */
  async submitMany(document: object, runs: number): Promise<number> {
    const hash = this.#hashes.get(JSON.stringify(document)) ?? "";
    const start = performance.now();
    const accepted = this.#take(runs).then(() => (performance.now() - start) / 1000);
    for (let from = 0; from < runs; from += SUBMIT_BATCH) {
      const count = Math.min(SUBMIT_BATCH, runs - from);
      await this.#add(Array.from({ length: count }, () => ({ hash, input: STEP_OUTPUT })));
    }
    return accepted;
  }

  /** Resolves when no run is unfinished in Postgres. */
  async idle(): Promise<void> {
    for (;;) {
      const [row] = await this.services.db.query<{ n: number }>(UNFINISHED);
      if (row?.n === 0) {
        return;
      }
      await pause(POLL_MS);
    }
  }

  /** Waits until what ended has been released, so that it costs the next measurement nothing. */
  async released(): Promise<void> {
    while ((await this.redis.zcard(partitionKeys(0).release)) > 0) {
      await pause(POLL_MS);
    }
  }

  async #add(submissions: object[]): Promise<void> {
    const pipeline = this.redis.pipeline();
    for (const submission of submissions) {
      const text = JSON.stringify({ ...submission, reply_to: this.#replyTo });
      pipeline.xadd(globalKeys.submissions, "*", "submission", text);
    }
    await pipeline.exec();
  }

  /** The next `count` answers; throws at a rejection. */
  async #take(count: number): Promise<Reply[]> {
    const taken: Reply[] = [];
    while (taken.length < count) {
      const read = ["COUNT", 1000, "BLOCK", 1000, "STREAMS", this.#replyTo, this.#repliedId];
      const reply = (await this.#replies.call("XREAD", ...read)) as StreamReply;
      for (const [id, fields] of reply?.[0]?.[1] ?? []) {
        this.#repliedId = id;
        const answer = JSON.parse(fields[1] ?? "{}") as Reply;
        if (answer.status !== "accepted") {
          throw new Error(`a submission was rejected: ${JSON.stringify(answer.errors)}`);
        }
        taken.push(answer);
      }
    }
    return taken;
  }
}

type StreamReply = [string, [string, string[]][]][] | null;

/** What the engine's processes are started with. */
export function roleOptions(services: Services) {
  const { redisUrl, databaseUrl, singleSession } = services;
  return { redisUrl, databaseUrl, singleSession, concurrency: CONCURRENCY };
}

/** The processes that take part. */
export function pidsOf({ worker, supervisor, services }: Engine) {
  const { redis, postgres } = services.pids;
  return {
    worker: worker.pid,
    supervisor: supervisor.pid,
    submitter: process.pid,
    redis,
    postgres,
  };
}

/** One round of the engine on one workload. */
export async function runEngine(
  engine: Engine,
  shape: Shape,
  options: { runs: number; round: number; warmUp?: number },
): Promise<ThroughputRow> {
  const { redis } = engine;
  const document = documentOf(shape);
  await engine.submit(document);
  await engine.submitMany(document, options.warmUp ?? WARM_UP_RUNS);
  await engine.idle();
  await engine.released();
  const stop = await startUsage(redis, pidsOf(engine));
  const startMs = await redisNowMs(redis);
  const start = performance.now();
  const acceptedSeconds = await engine.submitMany(document, options.runs);
  await engine.idle();
  const durable = performance.now() - start;
  const usage = await stop();
  await assertCompleted(engine, startMs, options.runs);
  const steps = options.runs * shape.steps;
  return {
    kind: "throughput",
    system: "gavotte",
    workload: shape.name,
    round: options.round,
    runs: options.runs,
    steps,
    stepsPerSecond: round((steps / ((await lastRecordMs(redis)) - startMs)) * 1000, 0),
    durableStepsPerSecond: round((steps / durable) * 1000, 0),
    acceptedPerSecond: round(options.runs / acceptedSeconds, 0),
    usage,
  };
}

/** A rate of runs that failed would be no rate. */
async function assertCompleted(engine: Engine, sinceMs: number, runs: number): Promise<void> {
  const rows = await engine.services.db.query<{ status: string; n: number }>(OF_DEFINITION, [
    sinceMs,
  ]);
  if (rows.length !== 1 || rows[0]?.status !== "COMPLETED" || rows[0].n !== runs) {
    throw new Error(`expected ${runs} completed runs, found ${JSON.stringify(rows)}`);
  }
}

async function redisNowMs(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

/** Redis' time of the newest journal record: when the last run ended there. */
async function lastRecordMs(redis: Redis): Promise<number> {
  const [entry] = await redis.xrevrange(partitionKeys(0).ev, "+", "-", "COUNT", 1);
  return Number(entry?.[0].split("-", 1)[0]);
}
