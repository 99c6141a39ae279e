/**
 * One Redis Cluster behind the face of one connection.
 *
 * Commands go by their first key: those of a partition to the partition's own connection, those of
 * keys without a partition through ioredis' Cluster. What has no key, and what must reach one node
 * as a whole (pipelines, transactions, scripts, scans, the server's time), is refused here: ask
 * `connectionAt` for the connection of a partition, which on a single server is the same connection.
 */
import calculateSlot from "cluster-key-slot";
import { Cluster, Redis, type Command, type RedisOptions } from "ioredis";
import { connectSlot, isSlotConnection } from "./slot-connection.ts";
import type { ClusterTopology } from "./topology.ts";

const PARTITION_KEY = /^gv:\{\d+\}:/;
/** Their key follows the name of a subcommand, and ioredis does not see it. */
const CONTAINERS = new Set(["xgroup", "xinfo"]);
const REFRESH_MS = 1000;
const REDIRECTIONS_MAX = 10_000;
const LOAD_MS = 10_000;

class ClusterRouter extends Redis {
  readonly topology: ClusterTopology;
  readonly #connectionOptions: RedisOptions;
  readonly #slots = new Map<number, Redis>();
  readonly #done: () => void;
  #others: Cluster | null = null;
  #isClosed = false;

  constructor(topology: ClusterTopology, options: RedisOptions) {
    super({ lazyConnect: true });
    this.topology = topology;
    this.#connectionOptions = options;
    this.#done = topology.use();
  }

  /** The connection of the slot that holds `key`. */
  at(key: string): Redis {
    const slot = calculateSlot(key);
    let redis = this.#slots.get(slot);
    if (redis === undefined) {
      redis = connectSlot(this.topology, slot, this.#connectionOptions);
      redis.on("error", () => undefined);
      this.#slots.set(slot, redis);
      if (this.#isClosed) {
        redis.disconnect();
      }
    }
    return redis;
  }

  override sendCommand(command: Command): unknown {
    if (CONTAINERS.has(command.name.toLowerCase()) && command.args[1] !== undefined) {
      return this.at(String(command.args[1])).sendCommand(command);
    }
    const [first] = command.getKeys();
    if (first === undefined && command.name !== "ping") {
      command.reject(misdirected(command.name));
      return command.promise;
    }
    const key = String(first ?? "");
    return PARTITION_KEY.test(key)
      ? this.at(key).sendCommand(command)
      : this.#cluster().sendCommand(command);
  }

  override async connect(): Promise<void> {
    await this.topology.load(this.#connectionOptions.connectTimeout ?? LOAD_MS);
  }

  override disconnect(): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#slots.forEach((redis) => redis.disconnect());
      this.#others?.disconnect();
      this.#done();
      super.disconnect();
    }
  }

  override pipeline(): never {
    throw misdirected("pipeline");
  }

  override multi(): never {
    throw misdirected("multi");
  }

  #cluster(): Cluster {
    if (this.#others === null) {
      const { seeds, options } = this.topology.target;
      this.#others = new Cluster(seeds, {
        redisOptions: { ...options, ...this.#connectionOptions },
        lazyConnect: true,
        // It would ask any node, also one that stands still.
        enableReadyCheck: false,
        slotsRefreshTimeout: REFRESH_MS,
        slotsRefreshInterval: REFRESH_MS,
        // Commands never give up while a node is away, as on a single server.
        maxRedirections: REDIRECTIONS_MAX,
        clusterRetryStrategy: (times) => Math.min(50 * times, 1000),
        dnsLookup: (address, callback) => callback(null, address),
      });
      this.#others.on("error", () => undefined);
      if (this.#isClosed) {
        this.#others.disconnect();
      }
    }
    return this.#others;
  }
}

/** Opens a cluster's connections, each at first use. */
export function connectCluster(topology: ClusterTopology, options: RedisOptions): Redis {
  return new ClusterRouter(topology, options);
}

/** The connection for what shares the slot of `key`; on a single server `redis` itself. */
export function connectionAt(redis: Redis, key: string): Redis {
  return redis instanceof ClusterRouter ? redis.at(key) : redis;
}

/** Whether a connection is one to a cluster. */
export function isOfCluster(redis: Redis): boolean {
  return redis instanceof ClusterRouter || isSlotConnection(redis);
}

/** The topology behind a connection made for a cluster URL; null for a single server. */
export function clusterOf(redis: Redis): ClusterTopology | null {
  return redis instanceof ClusterRouter ? redis.topology : null;
}

function misdirected(what: string): Error {
  return new Error(`${what} has no key and a cluster has many nodes: use connectionAt()`);
}
