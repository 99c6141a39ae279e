/**
 * The worker: takes ready tokens from the queues it can serve, in every partition, and settles
 * them. Stateless: whatever it holds is pending in Redis.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import {
  connectionAt,
  connectRedis,
  partitionKeys,
  ScriptRunner,
  systemClock,
  Trouble,
  type Redis,
  type Service,
} from "../sdk/internal.ts";
import { waitForArchive } from "./archive-wait.ts";
import { Ahead } from "./ahead.ts";
import { Circuits } from "./circuits.ts";
import { WorkerCounts } from "./counts.ts";
import { Elements, mapNames, type MapNames } from "./elements.ts";
import { Executor } from "./execute.ts";
import { createHttpClient } from "./kinds/http-client.ts";
import { Lane } from "./lane.ts";
import { guardLeases, type LeaseGuard } from "./lease-guard.ts";
import { leaseSlots, LeaseTable } from "./lease-table.ts";
import { Leases } from "./leases.ts";
import { Maps } from "./maps.ts";
import { News } from "./news.ts";
import { QUEUED_KINDS, WORKER_DEFAULTS, type WorkerOptions } from "./options.ts";
import { PausedQueues } from "./paused-queues.ts";
import { Preparer } from "./prepare.ts";
import { RateTurns } from "./rate-turns.ts";
import { Recall } from "./recall.ts";
import { QueueReader } from "./reader.ts";
import { Slots } from "./slots.ts";
import { Trial } from "./trial.ts";
import { Unreadable } from "./unreadable.ts";
import { Workflows } from "./workflows.ts";

export { FunctionRegistry, loadFunctions } from "./registry.ts";
export { CHAIN_MS_MAX, CHAIN_NODES_MAX } from "./chain.ts";
export { createHttpClient } from "./kinds/http-client.ts";
export { delayOf } from "./kinds/delay.ts";
export { executeKind } from "./kinds/index.ts";
export { ExecutionError } from "./kinds/kind.ts";
export { WORKER_DEFAULTS, type WorkerOptions } from "./options.ts";
export type { WorkerCounts } from "./counts.ts";

export interface Worker extends Service {
  /** Names of the queues it reads, namespace included. */
  readonly queues: readonly string[];
  /** Tokens it holds now. */
  inFlight(): number;
  /** For metrics: what it counts, and how it stands. */
  facts(): WorkerFacts;
  /** Whether Redis answers. */
  ping(): Promise<void>;
  /** What handlers are at now, what was begun first at first. */
  executing(): Executing[];
}

export interface WorkerFacts {
  counts: WorkerCounts;
  slots: { used: number; max: number };
  /** Tokens that it has read and not settled. */
  held: number;
  /** Partitions that it works in, and how many there are. */
  lanes: number;
  partitions: number;
  /** Of workflows: how often they were here, and how often read. */
  workflows: { hits: number; misses: number };
}

export interface Executing {
  run: string;
  node: string;
  /** Since it was read, ms. */
  ms: number;
}

/**
 * How long the start waits for all lanes. On a cluster a primary may be away; the other partitions
 * have their lanes by then, and that one gets its lane when it is back.
 */
const LANES_MS = 10_000;
const UNBLOCK_MS = 500;
/** Between two looks for paused queues. */
const PAUSES_MS = 1000;
const STOPPED = "the deployment is stopped: nothing is begun until it is resumed";
const SAYS = {
  fails: "background work of the worker fails; it is tried again",
  goesOn: "background work of the worker that failed goes on",
};
/** How long a handler goes on, at most, whose token is not wanted any more. */
const RECALL_MS = 1000;

/** Makes a worker; nothing is read before `start`. */
export function createWorker(options: WorkerOptions): Worker {
  return new WorkerService(options);
}

/** What the lanes of a worker have together. */
interface Shared {
  workflows: Workflows;
  circuits: Circuits;
  turns: RateTurns;
  slots: Slots;
  counts: WorkerCounts;
  trial: Trial;
  names: MapNames;
}

class WorkerService implements Worker {
  readonly name = "worker";
  readonly queues: readonly string[];
  readonly #o: WorkerOptions & typeof WORKER_DEFAULTS;
  readonly #stop = new AbortController();
  #commands: Redis | null = null;
  #readers: { blocking: Redis; commands: Redis; id: number }[] = [];
  #lanes: { lane: Lane; leases: Leases }[] = [];
  #reads: Promise<void>[] = [];
  #loops: Promise<void>[] = [];
  /** Names of paused queues; null: all of them. */
  #paused: ReadonlySet<string> | null = null;
  #guard: LeaseGuard | null = null;
  readonly #counts = new WorkerCounts();
  readonly #slots: Slots;
  #workflows: Workflows | null = null;
  /** Of what is done now and then, for all partitions together. */
  readonly #trouble: Trouble;

  constructor(options: WorkerOptions) {
    setMaxListeners(0, this.#stop.signal); // a wait per lane and script call stands on it
    this.#o = { ...WORKER_DEFAULTS, ...options } as WorkerOptions & typeof WORKER_DEFAULTS;
    const own = this.#o.registry.names().map((name) => `fn:${name}`);
    const kinds = QUEUED_KINDS.map((kind) => `kind:${kind}`);
    const names = new Set([...own, ...kinds, ...(options.queues ?? [])]);
    this.queues = [...names].map((name) => this.#o.namespace + name);
    this.#slots = new Slots(this.#o.concurrency);
    const { logger, clock = systemClock } = this.#o;
    this.#trouble = new Trouble({ logger, nowMs: () => clock.monotonicMs(), says: SAYS });
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
    await this.#inTime(Promise.all(lanes), LANES_MS);
    this.#loops.push(this.#every("circuits", leaseMs / 6, () => circuits.renew()));
    this.#loops.push(this.#every("pauses", PAUSES_MS, () => this.#readPauses(pausedQueues)));
  }

  async #startLane(commands: Redis, shared: Shared, partition: number): Promise<void> {
    const o = this.#o;
    const redis = connectionAt(commands, partitionKeys(partition).meta);
    const logger = o.logger.child({ worker: o.id, partition });
    const made: { lane?: Lane } = {};
    const scripts = new ScriptRunner({
      redis: commands,
      deployment: o.deployment,
      partition,
      signal: this.#stop.signal,
      onNewEpoch: () => made.lane?.forsake(),
      onUncertified: (waiting) =>
        logger.warn(waiting ? "waiting for a supervisor to certify Redis" : "Redis is certified"),
    });
    const news = new News(scripts.keys.halted);
    const reader = await this.#openReader(redis, partition, news);
    if (this.#stop.signal.aborted || this.#commands === null) {
      return;
    }
    const nowMs = (): number => performance.now();
    const slots = leaseSlots(o.concurrency);
    const table = o.blockedMsMax > 0 ? new LeaseTable(reader.queueKeys, slots) : null;
    const leases = new Leases({ scripts, consumer: o.id, leaseMs: o.leaseMs, nowMs, table });
    if (table !== null) {
      table.beat(nowMs());
      this.#guard?.guard({ partition, queues: reader.queueKeys, buffer: table.buffer });
    }
    const secrets = o.secrets ?? ((): { [name: string]: string } => ({}));
    const calling = { registry: o.registry, http: o.http ?? createHttpClient(), secrets, logger };
    const executor = new Executor({
      workerId: o.id,
      secrets,
      random: Math.random,
      outputBytesMax: o.outputBytesMax,
      ahead: new Ahead({ ...calling, reader, nowMs }),
    });
    const elements = new Elements(redis, scripts.keys, shared.names);
    const preparer = new Preparer(redis, shared.workflows, partition, news, elements);
    const everyMs = o.leaseMs / 3;
    const recall = new Recall({ redis, leases, preparer, everyMs, nowMs });
    const about = { redis, scripts, consumer: o.id, leaseMs: o.leaseMs, logger, nowMs };
    const lane = new Lane({
      ...about,
      elements,
      maps: new Maps(scripts, shared.workflows),
      reader,
      ...shared,
      preparer,
      executor,
      leases,
      unreadable: new Unreadable({ ...about, ...shared }),
      ...calling,
      deliveriesMax: o.deliveriesMax,
      outputBytesMax: o.outputBytesMax,
    });
    made.lane = lane;
    this.#lanes.push({ lane, leases });
    this.#runLane(lane, leases, recall, { redis, scripts, reader, logger });
  }

  #runLane(
    lane: Lane,
    leases: Leases,
    recall: Recall,
    archive: Parameters<typeof waitForArchive>[0],
  ): void {
    const { leaseMs, backlogBytesMax } = this.#o;
    const of = archive.scripts.partition;
    this.#reads.push(lane.readLoop((ms) => this.#pause(ms)));
    this.#loops.push(
      this.#every(`leases ${of}`, leaseMs / 6, () => leases.renew()),
      // At once as well: where none lives for half a lease, nobody else would ever look.
      this.#every(`takeover ${of}`, leaseMs / 2, () => lane.takeOver(), 0),
      this.#every(`recall ${of}`, RECALL_MS, () => recall.look()),
      this.#every(`look ${of}`, PAUSES_MS, async () => {
        if (lane.isLookDue) {
          await lane.takeOver();
        }
      }),
      this.#every(`backlog ${of}`, PAUSES_MS, () => waitForArchive(archive, backlogBytesMax)),
    );
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
    await this.#inTime(Promise.all(woken), UNBLOCK_MS).catch(() => 0);
    await Promise.all(this.#reads.splice(0));
    await Promise.all(this.#lanes.map(({ lane }) => lane.stop(deadlineMs)));
    this.#stop.abort();
    await Promise.all(this.#loops.splice(0));
    await Promise.all(this.#lanes.splice(0).map(({ lane }) => lane.forget()));
  }

  async #every(what: string, ms: number, task: () => Promise<void>, firstMs = ms): Promise<void> {
    for (let waitMs = firstMs; !this.#stop.signal.aborted; waitMs = ms) {
      await this.#pause(waitMs);
      if (!this.#stop.signal.aborted) {
        await task().then(
          () => this.#trouble.over(what),
          (error: unknown) => this.#trouble.meet(error, what),
        );
      }
    }
  }

  /** Waits for `work`, but not for ever; what fails later is told. */
  async #inTime(work: Promise<unknown>, ms: number): Promise<void> {
    let isLate = false;
    const limit = this.#pause(ms).then(() => (isLate = true));
    work.catch((error: unknown) => {
      if (isLate) {
        this.#o.logger.warn({ err: error }, "the worker has not begun with all partitions");
      }
    });
    await Promise.race([work, limit]);
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }
}
