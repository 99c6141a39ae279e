/**
 * Which primary of a Redis Cluster owns which slot, asked of several nodes once a second.
 *
 * One for all connections of a process to one cluster. A node that stands still answers nobody, and
 * its connections do not break: that its slots have another owner now is learnt here, and who is
 * connected to it is told. Answers that do not come within a second are done without.
 */
import { setTimeout as sleep } from "node:timers/promises";
import calculateSlot from "cluster-key-slot";
import { Redis } from "ioredis";
import { GavotteError } from "../errors.ts";
import { mergeViews, parseNodes, SLOTS, type ClusterNode, type SlotMap } from "./cluster-nodes.ts";
import {
  addressText,
  parseClusterUrl,
  type ClusterTarget,
  type NodeAddress,
} from "./cluster-url.ts";

const POLL_MS = 1000;
const ANSWER_MS = 1000;
const RETRY_MS = 50;
/** Nodes asked at a time: enough for the truth to be among the answers. */
const ASKED_MAX = 5;

export interface SlotUser {
  slot: number;
  /** Told whenever the map may have changed. */
  ownerIs(owner: NodeAddress): void;
}

export class ClusterTopology {
  readonly target: ClusterTarget;
  readonly #users = new Set<SlotUser>();
  readonly #links = new Map<string, Redis>();
  readonly #onIdle: () => void;
  #map: SlotMap = { nodes: [], owners: new Int16Array(SLOTS).fill(-1) };
  /** What MOVED has told since the last poll. */
  readonly #told = new Map<number, NodeAddress>();
  #polling: Promise<boolean> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #turn = 0;
  #uses = 0;

  constructor(target: ClusterTarget, onIdle: () => void) {
    this.target = target;
    this.#onIdle = onIdle;
  }

  /** Nodes as last heard of. */
  get nodes(): readonly ClusterNode[] {
    return this.#map.nodes;
  }

  /** The primary of a slot, as far as known. */
  ownerOf(slot: number): NodeAddress | null {
    const owner = this.#map.nodes[this.#map.owners[slot] ?? -1];
    return this.#told.get(slot) ?? owner?.address ?? null;
  }

  /** Whether the slot of a key has an owner that is not held for dead. */
  isServed(key: string): boolean {
    const { nodes, owners } = this.#map;
    return nodes[owners[calculateSlot(key)] ?? -1]?.isFailed === false;
  }

  /** How many slots have an owner that is not held for dead. */
  coverage(): number {
    const { nodes, owners } = this.#map;
    return owners.reduce((sum, at) => sum + (nodes[at]?.isFailed === false ? 1 : 0), 0);
  }

  /** Keeps the map up to date until the function that it returns is called. */
  use(user?: SlotUser): () => void {
    this.#uses += 1;
    if (user !== undefined) {
      this.#users.add(user);
    }
    this.#schedule();
    let isOver = false;
    return () => {
      if (!isOver) {
        isOver = true;
        this.#uses -= 1;
        this.#users.delete(user as SlotUser);
        this.#endIfIdle();
      }
    };
  }

  /** Asks now. Throws GV_REDIS_UNAVAILABLE if no node answers within `timeoutMs`. */
  async load(timeoutMs: number): Promise<void> {
    const until = performance.now() + timeoutMs;
    while (!(await this.refresh())) {
      if (performance.now() > until) {
        const asked = this.target.seeds.map(addressText).join(", ");
        throw new GavotteError(
          "GV_REDIS_UNAVAILABLE",
          `no node of the Redis Cluster answers (${asked}); check redis_url and that it runs`,
        );
      }
      await sleep(RETRY_MS);
    }
  }

  /** Asks now, or takes part in asking; whether any node has answered. */
  refresh(): Promise<boolean> {
    this.#polling ??= this.#poll().finally(() => (this.#polling = null));
    return this.#polling;
  }

  /** A node has answered MOVED. */
  moved(slot: number, owner: NodeAddress): void {
    this.#told.set(slot, owner);
    this.#tell();
  }

  #schedule(): void {
    if (this.#timer === null && this.#uses > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        void this.refresh().then(() => this.#schedule());
      }, POLL_MS);
      this.#timer.unref();
    }
  }

  #endIfIdle(): void {
    if (this.#uses === 0) {
      clearTimeout(this.#timer ?? undefined);
      this.#timer = null;
      this.#links.forEach((link) => link.disconnect());
      this.#links.clear();
      this.#onIdle();
    }
  }

  async #poll(): Promise<boolean> {
    const asked = this.#choose();
    const answers = await Promise.all(asked.map((address) => this.#ask(address)));
    const views = answers.filter((answer) => answer !== null);
    const merged = mergeViews(views);
    if (merged.nodes.length > 0) {
      this.#map = merged;
      this.#told.clear();
      this.#tell();
    }
    if (this.#uses === 0) {
      this.#endIfIdle();
    }
    return merged.nodes.length > 0;
  }

  /** Other nodes each time; those held for dead only while no others are known. */
  #choose(): NodeAddress[] {
    const known = this.#map.nodes.filter((node) => !node.isFailed).map((node) => node.address);
    const all = known.length > 0 ? known : this.target.seeds;
    this.#turn += 1;
    const turned = all.map((_, i) => all[(i + this.#turn) % all.length] as NodeAddress);
    // The seeds once more now and then: all that was known may have been replaced.
    return this.#turn % 10 === 0 ? this.target.seeds : turned.slice(0, ASKED_MAX);
  }

  /** INFO of one node; null if it does not answer within a second. */
  info(address: NodeAddress): Promise<string | null> {
    return this.#withLink(address, (link) => link.info());
  }

  /** Whether the primary of a key answers within a second, whatever the others hold of it. */
  async answers(key: string): Promise<boolean> {
    const owner = this.ownerOf(calculateSlot(key));
    return owner !== null && (await this.#withLink(owner, (link) => link.ping())) !== null;
  }

  #ask(address: NodeAddress): Promise<ClusterNode[] | null> {
    return this.#withLink(address, async (link) => {
      return parseNodes((await link.cluster("NODES")) as string, address);
    });
  }

  async #withLink<T>(address: NodeAddress, ask: (link: Redis) => Promise<T>): Promise<T | null> {
    const text = addressText(address);
    let link = this.#links.get(text);
    if (link === undefined) {
      link = new Redis({
        ...this.target.options,
        ...address,
        connectionName: "gavotte:topology",
        lazyConnect: true,
        enableReadyCheck: false,
        connectTimeout: ANSWER_MS,
        commandTimeout: ANSWER_MS,
        maxRetriesPerRequest: 0,
        disconnectTimeout: 100,
        retryStrategy: () => null,
      });
      link.on("error", () => undefined);
      this.#links.set(text, link);
    }
    try {
      return await ask(link);
    } catch {
      link.disconnect();
      this.#links.delete(text);
      return null;
    }
  }

  #tell(): void {
    for (const user of this.#users) {
      const owner = this.ownerOf(user.slot);
      if (owner !== null) {
        user.ownerIs(owner);
      }
    }
  }
}

/** One for each cluster that this process talks to; gone when nobody uses it. */
const TOPOLOGIES = new Map<string, ClusterTopology>();

/** The shared topology of a cluster. */
export function topologyOf(url: string): ClusterTopology {
  let topology = TOPOLOGIES.get(url);
  if (topology === undefined) {
    topology = new ClusterTopology(parseClusterUrl(url), () => TOPOLOGIES.delete(url));
    TOPOLOGIES.set(url, topology);
  }
  return topology;
}
