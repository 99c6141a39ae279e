/**
 * The Redis Clusters that tests run against with GAVOTTE_TEST_REDIS=cluster: three primaries each,
 * started here. A cluster has one logical database, so who asks gets a whole one; what is given back
 * is emptied for the next, so that there are as many as test files run at a time.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startCluster, type TestCluster } from "./redis-cluster.ts";

export class ClusterService {
  readonly #dir: string;
  readonly #all = new Map<string, TestCluster>();
  readonly #free: TestCluster[] = [];
  #count = 0;

  /** Nothing is started before the first `take`. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The URL of an empty cluster nobody else has. */
  async take(): Promise<string> {
    const cluster = this.#free.pop() ?? (await this.#start());
    await cluster.flush();
    return cluster.url;
  }

  /** Gives a cluster back. */
  release(url: string): void {
    const cluster = this.#all.get(url);
    if (cluster !== undefined && !this.#free.includes(cluster)) {
      this.#free.push(cluster);
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#all.values()].map((cluster) => cluster.stop()));
  }

  async #start(): Promise<TestCluster> {
    const dir = join(this.#dir, `cluster-${this.#count++}`);
    mkdirSync(dir);
    const cluster = await startCluster({ dir });
    this.#all.set(cluster.url, cluster);
    return cluster;
  }
}
