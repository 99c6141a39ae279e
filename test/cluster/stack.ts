/**
 * A whole engine on a Redis Cluster of six processes: two supervisors and two workers in this
 * process, sixteen partitions, runs of random workflows whose outcome the oracle knows.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { uuidv7 } from "uuidv7";
import { compile } from "../../compiler/index.ts";
import {
  connectRedis,
  globalKeys,
  inTime,
  partitionKeys,
  partitionOf,
  type Redis,
} from "../../sdk/internal.ts";
import { storedFacts, type Database } from "../../sdk/postgres/index.ts";
import { createSupervisor, type Supervisor } from "../../supervisor/index.ts";
import { createWorker, FunctionRegistry, type Worker } from "../../worker/index.ts";
import { judge, type Submitted, type Verdict } from "../chaos/verdict.ts";
import { inputOf, type Workload } from "../chaos/workloads.ts";
import { startCluster, type TestCluster } from "../support/redis-cluster.ts";
import { standing } from "./standing.ts";

export const PARTITIONS = 16;
const LEASE_MS = 1500;
const SETTLE_MS = 180_000;
const POLL_MS = 100;
const ANSWER_MS = 2000;
/** Lines of the log that are kept for who asks after a failure. */
const LOG_LINES = 400;
const COUNT = {
  name: "cluster_count",
  text: `SELECT id FROM runs WHERE status IN ('COMPLETED', 'FAILED', 'CANCELLED')`,
};
const KNOWN = { name: "cluster_known", text: "SELECT id FROM runs WHERE id = ANY($1::text[])" };
const EPOCHS = { name: "cluster_epochs", text: "SELECT epoch::int AS epoch FROM cursors" };

/** What the log has told. */
export interface Told {
  certified: number;
  rolledBack: number;
}

export class ClusterStack {
  readonly cluster: TestCluster;
  readonly db: Database;
  readonly redis: Redis;
  readonly told: Told = { certified: 0, rolledBack: 0 };
  /** What the test is at, and since when; the last of what the engine has logged. */
  #at: string[] = [];
  #log: string[] = [];
  readonly #dir: string;
  #supervisors: Supervisor[] = [];
  #workers: Worker[] = [];
  #runs: Submitted[] = [];

  private constructor(dir: string, cluster: TestCluster, db: Database) {
    this.#dir = dir;
    this.cluster = cluster;
    this.db = db;
    this.redis = connectRedis({ url: cluster.url }, "test");
  }

  /**
   * Starts all of it; `replicas` of each of the three primaries. `connect` opens a pool: each process
   * would have its own, and what one of them waits for is nobody else's.
   */
  static async start(connect: () => Database, replicas: number): Promise<ClusterStack> {
    const dir = mkdtempSync(join(tmpdir(), "gv-cluster-"));
    mkdirSync(join(dir, "calls")); // of handlers: these workflows have none that tell
    const cluster = await startCluster({ dir, replicas });
    const stack = new ClusterStack(dir, cluster, connect());
    try {
      await stack.#begin(connect);
    } catch (error) {
      await stack.stop();
      throw error;
    }
    return stack;
  }

  async #begin(connect: () => Database): Promise<void> {
    const level = process.env["GAVOTTE_TEST_LOG"] ?? "info";
    const logger = pino({ level }, { write: (line) => this.#hear(line) });
    for (const id of ["s1", "s2"]) {
      const about = { redisUrl: this.cluster.url, database: connect(), logger, compile, id };
      const supervisor = createSupervisor({ ...about, partitions: PARTITIONS });
      this.#supervisors.push(supervisor);
      await supervisor.start();
    }
    const deployment = (await this.redis.hget(globalKeys.deployment, "id")) as string;
    for (const id of ["w1", "w2"]) {
      const worker = createWorker({
        ...{ redis: { url: this.cluster.url }, deployment, partitions: PARTITIONS, logger, id },
        ...{ registry: new FunctionRegistry(), leaseMs: LEASE_MS, blockedMsMax: 0 },
        stored: storedFacts(connect()),
      });
      this.#workers.push(worker);
      await worker.start();
    }
  }

  #hear(line: string): void {
    const { msg } = JSON.parse(line) as { msg?: string };
    this.told.certified += msg === "certified" ? 1 : 0;
    this.told.rolledBack += msg === "rebuilt and certified" ? 1 : 0;
    this.#log = [...this.#log.slice(1 - LOG_LINES), line.trimEnd()];
    if (process.env["GAVOTTE_TEST_LOG"] !== undefined) {
      process.stderr.write(line);
    }
  }

  /** Says what the test does from now on. */
  at(what: string): void {
    this.#at.push(`${new Date().toISOString()} ${what}`);
  }

  /** Where everything stands, after a failure. */
  async standing(): Promise<string> {
    const id = (await inTime(this.redis.hget(globalKeys.deployment, "id"), ANSWER_MS, "")) ?? "";
    const deployment = { id, partitions: PARTITIONS };
    const { redis, db, cluster } = this;
    const lines = await standing({ redis, db, nodes: cluster.nodes, deployment });
    const sent = `${this.#runs.length} submitted, ${(await this.ended()).size} ended`;
    return [...this.#log, ...this.#at, sent, ...lines].join("\n");
  }

  /** Submits `count` runs more, as a careful client does: it names them itself. */
  async submit(workloads: readonly Workload[], count: number): Promise<Submitted[]> {
    const runs = Array.from({ length: count }, () => {
      const n = this.#runs.length;
      const workload = workloads[n % workloads.length] as Workload;
      const run = { runId: uuidv7(), n, workload };
      this.#runs.push(run);
      return run;
    });
    await this.#send(runs);
    return runs;
  }

  async #send(runs: readonly Submitted[]): Promise<void> {
    const sent = runs.map(({ runId, n, workload }) => {
      const about = { workflow: workload.document, run_id: runId, idempotency_key: runId };
      const text = JSON.stringify({ ...about, input: inputOf(n) });
      return this.redis.xadd(globalKeys.submissions, "*", "submission", text);
    });
    await Promise.all(sent);
  }

  /** Ids of runs that have ended. */
  async ended(): Promise<Set<string>> {
    return new Set((await this.db.query<{ id: string }>(COUNT)).map(({ id }) => id));
  }

  /** The highest epoch of any partition: 1 as long as nothing was ever doubted. */
  async epochMax(): Promise<number> {
    const rows = await this.db.query<{ epoch: number }>(EPOCHS);
    return Math.max(...rows.map(({ epoch }) => epoch));
  }

  /**
   * Waits until all runs have ended and are released, and judges them. The queue has Redis'
   * durability only: what it lost before there was a row is submitted again.
   */
  async verdict(): Promise<Verdict> {
    const limit = performance.now() + SETTLE_MS;
    this.at("wait for the end of all runs");
    while ((await this.ended()).size < this.#runs.length && performance.now() < limit) {
      await pause(POLL_MS);
      await this.sendMissing();
    }
    this.at("wait for releases");
    for (let p = 0; p < PARTITIONS; p++) {
      const { release } = partitionKeys(p);
      while ((await this.redis.zcard(release)) > 0 && performance.now() < limit) {
        await pause(POLL_MS);
      }
    }
    this.at("judge");
    return judge(this.db, this.redis, this.#runs, join(this.#dir, "calls"), PARTITIONS);
  }

  /** Submits again what the queue has lost before there was a row. */
  async sendMissing(): Promise<void> {
    if ((await this.redis.xlen(globalKeys.submissions)) > 0) {
      return;
    }
    const ids = this.#runs.map(({ runId }) => runId);
    const known = new Set((await this.db.query<{ id: string }>(KNOWN, [ids])).map(({ id }) => id));
    await this.#send(this.#runs.filter(({ runId }) => !known.has(runId)));
  }

  /** The partition of a run. */
  partitionOf(runId: string): number {
    return partitionOf(runId, PARTITIONS);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop(2000)));
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.stop(5000)));
    this.redis.disconnect();
    await this.cluster.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
