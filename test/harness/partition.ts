/** A certified partition of its own on a test's Redis, without a supervisor. */
import {
  certifiedSource,
  commonQueueKey,
  globalKeys,
  GROUP,
  partitionKeys,
  Profiles,
  SCRIPTS,
  ScriptRunner,
  type Redis,
  type RunProfile,
  type ScriptName,
} from "../../sdk/internal.ts";
import type { Ir } from "../../compiler/ir.ts";
import { testRedis } from "../support/services.ts";
import { emptyRedis } from "../support/whole-redis.ts";

/** Some time of the years in which this is run. */
const FROZEN_AT_MS = 1_800_000_000_000;

export interface TestPartition {
  /** Commands go by their keys; what has none goes through `scripts.redis`. */
  redis: Redis;
  scripts: ScriptRunner;
  /** Publishes a workflow and makes its queues readable. */
  publish(ir: Ir, hash: string): Promise<RunProfile>;
  /** Moves the scripts' clock forward. */
  advance(ms: number): Promise<void>;
  /** Has the scripts' clock stand still from now on, at the same time whenever it is called. */
  freeze(): Promise<void>;
  /** Empties the database and certifies it again. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** The queues of a workflow and of the bodies of its maps, and the one that every worker reads. */
export function queueKeysOf(profile: RunProfile): string[] {
  const names = new Set<string>();
  const add = (ir: Ir): void => {
    ir.queues.forEach((queue) => names.add(queue));
    ir.nodes.forEach((node) => node.body && add(node.body));
  };
  add(profile.ir);
  const keys = partitionKeys(profile.partition);
  const queues = [...names].map((name) => keys.queue(profile.namespace + name, profile.priority));
  const common = commonQueueKey(profile.queueKeys[0] as string);
  return [...new Set([...queues, ...profile.entryKeys, common])];
}

/** A partition on the test's own Redis database. */
export async function openTestPartition(): Promise<TestPartition> {
  const own = await testRedis();
  const redis = own.connect();
  await redis.connect();
  const partition = await testPartition(redis);
  return { ...partition, close: () => own.close() };
}

/** Loads the scripts and writes the partition's epoch: what certification does on a fresh server. */
export async function testPartition(redis: Redis, partition = 0): Promise<TestPartition> {
  const deployment = "test";
  const scripts = new ScriptRunner({ redis, deployment, partition });
  for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
    await scripts.redis.script("LOAD", certifiedSource(name, deployment, partition, 1));
  }
  const certify = async (): Promise<void> => {
    await redis.hset(scripts.keys.meta, { epoch: "1", seq: "0", nonce: "0", clock: "0" });
  };
  await certify();
  const profiles = new Profiles();
  return {
    redis,
    scripts,
    async reset() {
      await emptyRedis(redis);
      await certify();
    },
    async close() {
      await redis.quit();
    },
    async publish(ir, hash) {
      await redis.set(globalKeys.ir(hash), JSON.stringify(ir));
      const place = { partition, namespace: "", priority: ir.settings.priority };
      const profile = profiles.add(ir, hash, place);
      for (const key of queueKeysOf(profile)) {
        await redis.xgroup("CREATE", key, GROUP, "0", "MKSTREAM").catch(() => undefined);
      }
      return profile;
    },
    async advance(ms) {
      const clock = (await redis.hget(scripts.keys.meta, "clock")) ?? "0";
      const [mark, at] = clock.startsWith("=") ? ["=", clock.slice(1)] : ["", clock];
      await redis.hset(scripts.keys.meta, "clock", `${mark}${Number(at) + Math.ceil(ms)}`);
    },
    async freeze() {
      await redis.hset(scripts.keys.meta, "clock", `=${FROZEN_AT_MS}`);
    },
  };
}
