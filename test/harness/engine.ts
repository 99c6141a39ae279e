/** A whole engine in one process on the test's own services: supervisor, worker, gateway. */
import { pino } from "pino";
import WebSocket from "ws";
import { compile } from "../../compiler/index.ts";
import { createGateway, type Gateway } from "../../gateway/index.ts";
import { connectRedis, globalKeys, type Redis } from "../../sdk/internal.ts";
import { readRun, storedFacts, type Database, type RunRow } from "../../sdk/postgres/index.ts";
import { isTerminal } from "../../sdk/status.ts";
import {
  createSupervisor,
  type Supervisor,
  type SupervisorOptions,
} from "../../supervisor/index.ts";
import {
  createWorker,
  FunctionRegistry,
  type Worker,
  type WorkerOptions,
} from "../../worker/index.ts";
import { testDatabase, testRedis, waitFor, type TestDatabase } from "../support/index.ts";

export interface Engine {
  redis: Redis;
  redisUrl: string;
  db: Database;
  supervisor: Supervisor;
  gateway: Gateway;
  /** Starts one more worker. */
  worker(more?: Partial<WorkerOptions>): Promise<Worker>;
  /** Submits through the queue; the run's id once it is accepted. */
  submit(submission: object): Promise<string>;
  /** The row of a run that has ended. */
  ended(runId: string): Promise<RunRow>;
  /** Everything the feed says about a run until its end, or `count` messages. */
  follow(runId: string, more?: FollowOptions): Promise<FeedText[]>;
  stop(): Promise<void>;
}

export interface FollowOptions {
  from?: string;
  count?: number;
  onMessage?(message: FeedText): void;
}

export interface FeedText {
  type: string;
  position?: string;
  node?: string | null;
  status?: string;
  event?: string;
  progress?: number;
  code?: string;
  [key: string]: unknown;
}

const logger = pino({ level: process.env["GAVOTTE_TEST_LOG"] ?? "silent" });

/**
 * Starts the engine; `options` of its supervisor. A `Database` among them is shared by all its parts
 * and is the caller's to close.
 */
export async function startEngine(options: Partial<SupervisorOptions> = {}): Promise<Engine> {
  const own = options.redisUrl === undefined ? await testRedis() : undefined;
  const redisUrl = options.redisUrl ?? own?.url ?? "";
  const given = options.database;
  const shared = given !== undefined && "query" in given ? given : null;
  const database = shared === null ? await testDatabase() : null;
  const db = shared ?? (database as TestDatabase).connect();
  const redis = connectRedis({ url: redisUrl }, "test");
  const supervisor = createSupervisor({ redisUrl, database: db, logger, compile, ...options });
  await supervisor.start();
  const deployment = (await redis.hget(globalKeys.deployment, "id")) as string;
  const { partitions = 1 } = options;
  const gateway = createGateway({ host: "127.0.0.1", port: 0, redisUrl, db, partitions, logger });
  await gateway.start();
  const workers: Worker[] = [];
  let replied = "0-0";
  const replies = new Map<string, { run_id: string | null; errors?: unknown; status: string }>();
  const engine: Engine = {
    ...{ redis, redisUrl, db, supervisor, gateway },
    async worker(more = {}) {
      const worker = createWorker({
        ...{ redis: { url: redisUrl }, deployment, partitions, logger },
        ...{ registry: new FunctionRegistry(), id: `w${workers.length}`, stored: storedFacts(db) },
        ...more,
      });
      await worker.start();
      workers.push(worker);
      return worker;
    },
    async submit(submission) {
      const text = JSON.stringify(submission);
      const id = (await redis.xadd(globalKeys.submissions, "*", "submission", text)) as string;
      const reply = await waitFor(
        async () => {
          const entries = await redis.xrange(globalKeys.replies, `(${replied}`, "+");
          for (const [entry, fields] of entries) {
            replied = entry;
            const parsed = JSON.parse(fields[1] as string) as never as { submission_id: string };
            replies.set(parsed.submission_id, parsed as never);
          }
          return replies.get(id);
        },
        { describe: `no reply to submission ${id}` },
      );
      if (reply.run_id === null || reply.status !== "accepted") {
        throw new Error(`rejected: ${JSON.stringify(reply.errors)}`);
      }
      return reply.run_id;
    },
    ended: (runId) =>
      waitFor(
        async () => {
          const row = await readRun(db, runId);
          return row !== null && isTerminal(row.status) ? row : undefined;
        },
        { describe: `run ${runId} has not ended` },
      ),
    follow: (runId, more = {}) => follow(gateway.url(), runId, more),
    async stop() {
      await Promise.all(workers.map((worker) => worker.stop(2000)));
      await gateway.stop(1000);
      await supervisor.stop(5000);
      redis.disconnect();
      await Promise.all([own?.close(), database?.close()]);
    },
  };
  return engine;
}

/** Everything that a gateway says about a run until its end, an error, or `count` messages. */
export function follow(url: string, runId: string, more: FollowOptions): Promise<FeedText[]> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/api/v1/ws`);
  const heard: FeedText[] = [];
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("open", () => {
      const { from } = more;
      socket.send(JSON.stringify({ type: "subscribe", run_id: runId, ...(from ? { from } : {}) }));
    });
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as FeedText;
      heard.push(message);
      more.onMessage?.(message);
      if (message.type === "end" || message.type === "error" || heard.length === more.count) {
        socket.close();
        resolve(heard);
      }
    });
  });
}
