/**
 * A Redis Cluster of plain processes on 127.0.0.1, with what can happen to one: nodes that stop,
 * stand still or die, replicas that are promoted, slots that move while commands come in.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { spawnWatched, within, type Watched } from "../../cmd/embedded/child.ts";
import { freePort } from "../../cmd/embedded/sockets.ts";
import { mergeViews, parseNodes, SLOTS, type ClusterNode } from "../../sdk/redis/cluster-nodes.ts";
import { redisProgram } from "./redis-program.ts";
import { waitFor } from "./wait-for.ts";

export interface ClusterOptions {
  /** Folder for the data of all nodes. */
  dir: string;
  primaries?: number;
  /** Replicas of each primary. */
  replicas?: number;
  /** After how long without an answer a node is held for dead. */
  nodeTimeoutMs?: number;
}

const NODE_TIMEOUT_MS = 1500;
const STOP_MS = 10_000;
/** Ports are looked for before they are taken: somebody else may have been faster. */
const START_TRIES = 5;
/** As many as redis-cli moves with one command. */
const KEYS_AT_A_TIME = 10;
const MIGRATE_MS = 5000;

/** One process of the cluster. */
export class TestNode {
  readonly port: number;
  readonly redis: Redis;
  readonly #args: readonly string[];
  #child: Watched;
  id = "";
  pid = 0;

  constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
    this.#child = spawnWatched(redisProgram(), args);
    const patient = { retryStrategy: () => 20, maxRetriesPerRequest: null };
    this.redis = new Redis({ host: "127.0.0.1", port, ...patient });
    this.redis.on("error", () => undefined);
  }

  /** Resolves when it answers. Throws if it ends instead: nobody would ever answer. */
  async ready(): Promise<void> {
    const { ended, output } = this.#child;
    const fallen = ended.then((how) => {
      throw new Error(`the node on ${this.port} ended (${how}): ${output()}`);
    });
    fallen.catch(() => undefined); // later it may
    const info = await Promise.race([this.redis.info("server"), fallen]);
    this.pid = Number(/process_id:(\d+)/.exec(info)?.[1]);
    this.id = (await this.redis.cluster("MYID")) as string;
  }

  /** It stands still: nobody gets an answer, and no connection breaks. */
  freeze(): void {
    process.kill(this.pid, "SIGSTOP");
  }

  thaw(): void {
    process.kill(this.pid, "SIGCONT");
  }

  kill(): void {
    if (this.pid === 0) {
      throw new Error(`the node on ${this.port} has not begun`); // 0 would be our own group
    }
    process.kill(this.pid, "SIGKILL");
  }

  /** Starts it again after `kill`: without data, which it has nowhere but in its memory. */
  async restart(): Promise<void> {
    this.#child.process.stdin?.end();
    await within(this.#child.ended, STOP_MS, `the node on ${this.port} does not end`);
    this.#child = spawnWatched(redisProgram(), this.#args);
    await this.ready();
  }

  /** A replica: cuts it off from its primary, and keeps it so. It goes on with what it has. */
  async cutOff(): Promise<void> {
    // A primary without a password refuses one that gives one.
    await this.redis.config("SET", "masterauth", "nobody-knows-it");
    await this.redis.client("KILL", "TYPE", "master");
  }

  async joinAgain(): Promise<void> {
    await this.redis.config("SET", "masterauth", "");
  }

  async stop(): Promise<void> {
    this.redis.disconnect();
    try {
      this.kill();
    } catch {
      // It is gone already.
    }
    this.#child.process.stdin?.end();
    await within(this.#child.ended, STOP_MS, `the node on ${this.port} does not stop`);
  }

  async view(): Promise<ClusterNode[]> {
    const text = (await this.redis.cluster("NODES")) as string;
    return parseNodes(text, { host: "127.0.0.1", port: this.port });
  }
}

export class TestCluster {
  readonly nodes: TestNode[];
  readonly url: string;

  constructor(nodes: TestNode[]) {
    this.nodes = nodes;
    this.url = `redis-cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  }

  /** The node that owns a slot, as `from` sees it. */
  async ownerOf(slot: number, from = this.nodes[0] as TestNode): Promise<TestNode> {
    const view = await from.view();
    const owner = view.find(({ ranges }) => ranges.some(([a, b]) => slot >= a && slot <= b));
    const node = this.nodes.find(({ id }) => id === owner?.id);
    if (node === undefined) {
      throw new Error(`slot ${slot} has no owner`);
    }
    return node;
  }

  /** Replicas of a node. */
  async replicasOf(node: TestNode, from = node): Promise<TestNode[]> {
    const ids = (await from.view()).flatMap((one) => (one.primaryId === node.id ? one.id : []));
    return this.nodes.filter(({ id }) => ids.includes(id));
  }

  /** Moves a slot with all its keys, as `redis-cli --cluster reshard` does. */
  async moveSlot(slot: number, from: TestNode, to: TestNode): Promise<number> {
    await to.redis.cluster("SETSLOT", slot, "IMPORTING", from.id);
    await from.redis.cluster("SETSLOT", slot, "MIGRATING", to.id);
    let moved = 0;
    for (;;) {
      const keys = await from.redis.cluster("GETKEYSINSLOT", slot, KEYS_AT_A_TIME);
      if (keys.length === 0) {
        break;
      }
      const address = ["127.0.0.1", to.port, "", 0, MIGRATE_MS] as const;
      await from.redis.call("MIGRATE", ...address, "KEYS", ...keys);
      moved += keys.length;
    }
    for (const node of [to, from, ...this.nodes]) {
      const { id } = to;
      await node.redis.cluster("SETSLOT", slot, "NODE", id).catch(() => undefined); // replicas refuse
    }
    return moved;
  }

  /** Resolves when every node sees all slots served, and each replica has what its primary has. */
  async settled(): Promise<void> {
    await waitFor(() => isWhole(this.nodes), {
      timeoutMs: 60_000,
      describe: "the cluster is not whole",
    });
  }

  /** Nodes that own slots, as most of the others see it. */
  async primaries(): Promise<TestNode[]> {
    const seen = (await views(this.nodes)).flat();
    const { nodes, owners } = mergeViews([seen]);
    const ids = new Set([...owners].map((place) => nodes[place]?.id));
    return this.nodes.filter(({ id }) => ids.has(id));
  }

  /** Removes every key of every node. */
  async flush(): Promise<void> {
    await Promise.all(this.nodes.map(({ redis }) => redis.flushall().catch(() => undefined)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

/** Starts a cluster and resolves when every node knows that all slots are served. */
export async function startCluster(options: ClusterOptions): Promise<TestCluster> {
  const { dir, primaries = 3, replicas = 0, nodeTimeoutMs = NODE_TIMEOUT_MS } = options;
  const count = primaries * (1 + replicas);
  const nodes: TestNode[] = [];
  try {
    for (let i = 0; i < count; i++) {
      nodes.push(await startNode(join(dir, `node-${i}`), nodeTimeoutMs));
    }
    await meet(nodes, primaries);
  } catch (error) {
    await Promise.all(nodes.map((node) => node.stop()));
    throw error;
  }
  return new TestCluster(nodes);
}

/** A node that answers. */
async function startNode(dir: string, nodeTimeoutMs: number): Promise<TestNode> {
  for (let tries = 1; ; tries++) {
    const node = await newNode(join(dir, String(tries)), nodeTimeoutMs);
    try {
      await node.ready();
      return node;
    } catch (error) {
      await node.stop();
      if (tries === START_TRIES) {
        throw error;
      }
    }
  }
}

async function newNode(dir: string, nodeTimeoutMs: number): Promise<TestNode> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const [port, busPort] = [await freePort(), await freePort()];
  return new TestNode(port, [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--protected-mode", "no"],
    ...["--cluster-enabled", "yes", "--cluster-port", String(busPort)],
    ...["--cluster-node-timeout", String(nodeTimeoutMs)],
    // Slots without an owner are no reason to refuse the others.
    ...["--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no"],
    ...["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"],
    ...["--repl-diskless-sync-delay", "0", "--daemonize", "no", "--loglevel", "warning"],
  ]);
}

async function meet(nodes: readonly TestNode[], primaries: number): Promise<void> {
  const first = nodes[0] as TestNode;
  const leaders = nodes.slice(0, primaries);
  for (const [i, node] of nodes.entries()) {
    await node.redis.cluster("SET-CONFIG-EPOCH", i + 1);
  }
  for (const [i, node] of leaders.entries()) {
    const from = Math.floor((i * SLOTS) / primaries);
    const to = Math.floor(((i + 1) * SLOTS) / primaries) - 1;
    await node.redis.cluster("ADDSLOTSRANGE", from, to);
  }
  const busPort = Number(((await first.redis.config("GET", "cluster-port")) as string[])[1]);
  for (const node of nodes.slice(1)) {
    await node.redis.call("CLUSTER", "MEET", "127.0.0.1", first.port, busPort);
  }
  await waitFor(async () => (await views(nodes)).every((view) => view.length === nodes.length), {
    describe: "the nodes do not know one another",
  });
  for (const [i, node] of nodes.slice(primaries).entries()) {
    await node.redis.cluster("REPLICATE", (leaders[i % primaries] as TestNode).id);
  }
  const replicas = nodes.length - primaries;
  await waitFor(() => isWhole(nodes, replicas), { describe: "the cluster is not whole" });
}

async function isWhole(nodes: readonly TestNode[], replicas = nodes.length / 2): Promise<boolean> {
  for (const node of nodes) {
    const info = String(await node.redis.cluster("INFO"));
    if (!info.includes("cluster_state:ok") || !info.includes(`cluster_slots_ok:${SLOTS}`)) {
      return false;
    }
  }
  for (const node of nodes) {
    if ((await node.redis.info("replication")).includes("master_link_status:down")) {
      return false;
    }
  }
  const seen = await views(nodes);
  return seen.every(
    (view) => view.filter(({ primaryId }) => primaryId !== null).length === replicas,
  );
}

function views(nodes: readonly TestNode[]): Promise<ClusterNode[][]> {
  return Promise.all(nodes.map((node) => node.view()));
}

/** Promotes a replica without asking its primary; resolves when it is one. */
export async function takeOver(replica: TestNode): Promise<void> {
  await replica.redis.cluster("FAILOVER", "TAKEOVER");
  const isPrimary = async (): Promise<boolean> =>
    (await replica.redis.info("replication")).includes("role:master");
  await waitFor(isPrimary, { describe: `the replica on ${replica.port} is not promoted` });
}
