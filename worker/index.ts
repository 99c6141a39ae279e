/**
 * The worker: takes ready tokens from the queues it can serve, in every partition, and settles
 * them. Stateless: whatever it holds is pending in Redis.
 */
import { setMaxListeners } from "node:events";
import {
  connectionAt,
  connectRedis,
  partitionKeys,
  ScriptRunner,
  systemClock,
  type Redis,
} from "../sdk/internal.ts";
import { waitForArchive } from "./archive-wait.ts";
import { Background } from "./background.ts";
import { Circuits } from "./circuits.ts";
import { WorkerCounts } from "./counts.ts";
import { mapNames } from "./elements.ts";
import type { Executing, Worker, WorkerFacts } from "./facts.ts";
import type { Lane } from "./lane.ts";
import { guardLeases, type LeaseGuard } from "./lease-guard.ts";
import { makeLane, type MadeLane, type Shared } from "./make-lane.ts";
import { News } from "./news.ts";
import { QUEUED_KINDS, WORKER_DEFAULTS, type WorkerOptions } from "./options.ts";
import { PausedQueues } from "./paused-queues.ts";
import { RateTurns } from "./rate-turns.ts";
import { QueueReader } from "./reader.ts";
import { Slots } from "./slots.ts";
import { Trial } from "./trial.ts";
import { Workflows } from "./workflows.ts";

export { FunctionRegistry, loadFunctions } from "./registry.ts";
export { CHAIN_MS_MAX, CHAIN_NODES_MAX } from "./chain.ts";
export { createHttpClient } from "./kinds/http-client.ts";
export { delayOf } from "./kinds/delay.ts";
export { executeKind } from "./kinds/index.ts";
export { ExecutionError } from "./kinds/kind.ts";
export { WORKER_DEFAULTS, type WorkerOptions } from "./options.ts";
export type { WorkerCounts } from "./counts.ts";
export type { Executing, Worker, WorkerFacts } from "./facts.ts";

/**
 * How long the start waits for all lanes. On a cluster a primary may be away; the other partitions
 * have their lanes by then, and that one gets its lane when it is back.
 */
const LANES_MS = 10_000;
const UNBLOCK_MS = 500;
/** Between two looks for paused queues. */
const PAUSES_MS = 1000;
const STOPPED = "the deployment is stopped: nothing is begun until it is resumed";
/** How long a handler goes on, at most, whose token is not wanted any more. */
const RECALL_MS = 1000;

/** Makes a worker; nothing is read before `start`. */
export function createWorker(options: WorkerOptions): Worker {
  return new WorkerService(options);
}

class WorkerService implements Worker {
  readonly name = "worker";
  readonly queues: readonly string[];
  readonly #o: WorkerOptions & typeof WORKER_DEFAULTS;
  readonly #stop = new AbortController();
  #commands: Redis | null = null;
  #readers: { blocking: Redis; commands: Redis; id: number }[] = [];
  #lanes: MadeLane[] = [];
  #reads: Promise<void>[] = [];
  /** Names of paused queues; null: all of them. */
  #paused: ReadonlySet<string> | null = null;
  #guard: LeaseGuard | null = null;
  readonly #counts = new WorkerCounts();
  readonly #slots: Slots;
  #workflows: Workflows | null = null;
  readonly #background: Background;

  constructor(options: WorkerOptions) {
    setMaxListeners(0, this.#stop.signal); // a wait per lane and script call stands on it
    this.#o = { ...WORKER_DEFAULTS, ...options } as WorkerOptions & typeof WORKER_DEFAULTS;
    const own = this.#o.registry.names().map((name) => `fn:${name}`);
    const kinds = QUEUED_KINDS.map((kind) => `kind:${kind}`);
    const names = new Set([...own, ...kinds, ...(options.queues ?? [])]);
    this.queues = [...names].map((name) => this.#o.namespace + name);
    this.#slots = new Slots(this.#o.concurrency);
    const { logger, clock = systemClock } = this.#o;
    this.#background = new Background(this.#stop.signal, logger, clock);
  }

  inFlight(): number {
    return this.#lanes.reduce((sum, { lane }) => sum + lane.inFlight, 0);
  }

  facts(): WorkerFacts {
    const { max, free } = this.#slots;
    return {
      counts: this.#counts,
      slots: { used: max - free, max },
      held: this.inFlight(),
      lanes: this.#lanes.length,
      partitions: this.#o.partitions,
      workflows: this.#workflows?.looks ?? { hits: 0, misses: 0 },
    };
  }

  async ping(): Promise<void> {
    if (this.#commands === null) {
      throw new Error("the worker does not run");
    }
    await this.#commands.ping();
  }

  executing(): Executing[] {
    const now = performance.now();
    const held = this.#lanes.flatMap(({ leases }) => leases.all());
    return held
      .flatMap(({ token, executes: node, sinceMs }) =>
        node === null ? [] : [{ run: token.runId, node, ms: Math.round(now - sinceMs) }],
      )
      .sort((a, b) => b.ms - a.ms);
  }

  async start(): Promise<void> {
    const redis = connectRedis(this.#o.redis, `worker:${this.#o.id}`);
    this.#commands = redis;
    await redis.connect();
    const pausedQueues = new PausedQueues(redis, this.#o.stored);
    this.#paused = await pausedQueues.look();
    if (pausedQueues.isStopped) {
      this.#o.logger.warn(STOPPED);
    } else if (this.#paused === null) {
      this.#o.logger.warn("nobody says which queues are paused: none is read until somebody does");
    }
    const { leaseMs, logger, clock = systemClock } = this.#o;
    const circuits = new Circuits({ redis, leaseMs, clock, logger });
    this.#workflows = new Workflows(redis, this.#o.stored);
    const shared = {
      names: mapNames(),
      workflows: this.#workflows,
      circuits,
      turns: new RateTurns({ nowMs: () => clock.monotonicMs() }),
      slots: this.#slots,
      counts: this.#counts,
      trial: new Trial(),
    };
    if (this.#o.blockedMsMax > 0) {
      const { id: consumer, deployment, blockedMsMax } = this.#o;
      const about = { redis: this.#o.redis, deployment, consumer, leaseMs, blockedMsMax };
      this.#guard = guardLeases(about, logger);
    }
    const lanes = Array.from({ length: this.#o.partitions }, (_, partition) =>
      this.#startLane(redis, shared, partition),
    );
    await this.#background.inTime(Promise.all(lanes), LANES_MS);
    this.#background.every("circuits", leaseMs / 6, () => circuits.renew());
    this.#background.every("pauses", PAUSES_MS, () => this.#readPauses(pausedQueues));
  }

  async #startLane(commands: Redis, shared: Shared, partition: number): Promise<void> {
    const o = this.#o;
    const redis = connectionAt(commands, partitionKeys(partition).meta);
    const logger = o.logger.child({ worker: o.id, partition });
    const current: { lane?: Lane } = {};
    const scripts = new ScriptRunner({
      redis: commands,
      deployment: o.deployment,
      partition,
      signal: this.#stop.signal,
      onNewEpoch: () => current.lane?.forsake(),
      onUncertified: (waiting) =>
        logger.warn(waiting ? "waiting for a supervisor to certify Redis" : "Redis is certified"),
    });
    const news = new News(scripts.keys.halted);
    const reader = await this.#openReader(redis, partition, news);
    if (this.#stop.signal.aborted || this.#commands === null) {
      return;
    }
    const made = makeLane({
      ...{ options: o, shared, partition, redis, scripts, reader, news, logger },
      guard: this.#guard,
    });
    current.lane = made.lane;
    this.#lanes.push(made);
    this.#runLane(made, { redis, scripts, reader, logger });
  }

  #runLane(
    { lane, leases, recall }: MadeLane,
    archive: Parameters<typeof waitForArchive>[0],
  ): void {
    const { leaseMs, backlogBytesMax } = this.#o;
    const of = archive.scripts.partition;
    const background = this.#background;
    this.#reads.push(lane.readLoop((ms) => background.pause(ms)));
    background.every(`leases ${of}`, leaseMs / 6, () => leases.renew());
    // At once as well: where none lives for half a lease, nobody else would ever look.
    background.every(`takeover ${of}`, leaseMs / 2, () => lane.takeOver(), 0);
    background.every(`recall ${of}`, RECALL_MS, () => recall.look());
    background.every(`look ${of}`, PAUSES_MS, async () => {
      if (lane.isLookDue) {
        await lane.takeOver();
      }
    });
    background.every(`backlog ${of}`, PAUSES_MS, () => waitForArchive(archive, backlogBytesMax));
  }

  async #openReader(redis: Redis, partition: number, news: News): Promise<QueueReader> {
    const o = this.#o;
    const keys = partitionKeys(partition);
    const blocking = connectRedis(o.redis, `worker:${o.id}:read`, { at: keys.meta });
    const clientId = await blocking.client("ID");
    this.#readers.push({ blocking, commands: redis, id: clientId });
    const reader = new QueueReader({
      redis: blocking,
      clientId,
      keys,
      queues: this.queues,
      consumer: o.id,
      news,
    });
    reader.pause(this.#paused);
    await reader.createGroups(redis);
    // What is taken over may be executed before the first read has ended.
    await news.look(redis);
    return reader;
  }

  async #readPauses(pausedQueues: PausedQueues): Promise<void> {
    const wasStopped = pausedQueues.isStopped;
    this.#paused = await pausedQueues.look();
    this.#lanes.forEach(({ lane }) => lane.pause(this.#paused));
    if (pausedQueues.isStopped !== wasStopped) {
      this.#o.logger.warn(wasStopped ? "the deployment goes on" : STOPPED);
    }
  }

  /** Finishes or hands back what it holds; resolves when nothing of it is left. */
  async stop(deadlineMs: number): Promise<void> {
    const redis = this.#commands;
    if (redis === null) {
      return;
    }
    this.#commands = null;
    this.#lanes.forEach(({ lane }) => lane.quiet());
    // Redis may be away: what cannot be said to it by then stays pending, and is taken over.
    const timer = setTimeout(() => {
      this.#stop.abort();
      redis.disconnect();
      this.#readers.forEach(({ blocking }) => blocking.disconnect());
    }, deadlineMs + 1000);
    try {
      await this.#windDown(deadlineMs);
    } catch (error) {
      this.#o.logger.warn({ err: error }, "the worker stopped without giving everything back");
    } finally {
      clearTimeout(timer);
      this.#stop.abort();
      await this.#guard?.stop();
      this.#readers.splice(0).forEach(({ blocking }) => blocking.disconnect());
      redis.disconnect();
    }
  }

  async #windDown(deadlineMs: number): Promise<void> {
    // Wakes blocked reads: what they bring is still handed back below.
    const woken = this.#readers.map(({ commands, id }) => commands.client("UNBLOCK", id));
    await this.#background.inTime(Promise.all(woken), UNBLOCK_MS).catch(() => 0);
    await Promise.all(this.#reads.splice(0));
    await Promise.all(this.#lanes.map(({ lane }) => lane.stop(deadlineMs)));
    this.#stop.abort();
    await this.#background.ended();
    await Promise.all(this.#lanes.splice(0).map(({ lane }) => lane.forget()));
  }
}
