/** Emptying a partition that is to be rebuilt, while others go on writing what needs no certificate. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { createGroups, GROUP, partitionKeys, sharedBacklogBytes } from "../sdk/internal.ts";
import { allKeys, intercepted, waitFor } from "../test/support/index.ts";
import { Certifier } from "./certify.ts";
import type { SupervisorContext } from "./context.ts";
import { contextOf, startStack, type Stack } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const queue = keys.queue("fn:a", "normal");
let stack: Stack;
let context: SupervisorContext & { close(): void };
let certifier: Certifier;
/** Looks at all keys, as far as they have begun; what others do meanwhile. */
let looks = 0;
let meanwhile: () => Promise<void>;
/** How script calls reach the server. */
let sent: (args: readonly unknown[], call: () => Promise<unknown>) => Promise<unknown>;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

beforeEach(async () => {
  looks = 0;
  meanwhile = workersGoOn;
  sent = (_, call) => call();
  const redis = intercepted(stack.redis, (name, call) => async (...args) => {
    if (name === "scan") {
      looks += args[0] === "0" ? 1 : 0;
      await meanwhile();
    }
    const isScript = name === "evalsha" || name === "eval";
    return isScript ? sent(args, async () => call(...args)) : call(...args);
  });
  context = { ...(await contextOf(stack, { id: "s" })), redis };
  certifier = new Certifier(context, 0);
  await certifier.start();
  await waitFor(() => certifier.epoch !== null, { describe: "it is not certified" });
  looks = 0;
});
afterEach(async () => {
  await certifier.stop(100);
  context.close();
});

/** A worker that finds no group makes it; one that reads notes how large the journal is. */
async function workersGoOn(): Promise<void> {
  await createGroups(stack.redis, [queue], GROUP);
  await sharedBacklogBytes(stack.redis, keys);
}

async function rolledBack(): Promise<void> {
  let isDone = false;
  await stack.redis.hset(keys.run("gone"), "s", "running");
  await stack.redis.xadd(queue, "*", "t", "of a run that is gone");
  void certifier.rollBack(certifier.epoch ?? 0, "the test says so").then(() => (isDone = true));
  await waitFor(() => isDone, { describe: "the partition is emptied again and again" });
}

it("a partition is emptied, though workers make their groups and measure the journal anew during each look", async () => {
  await rolledBack();
  expect(looks).toBe(2);
  expect(await stack.redis.exists(keys.run("gone"))).toBe(0);
  expect(await stack.redis.xlen(queue)).toBe(0);
  expect(certifier.epoch).toBe(2);
});

it("a partition is emptied, though something else stands in place of a queue", async () => {
  const name = `${keys.queues}function:other:normal`;
  await stack.redis.set(name, "put here by hand");
  await certifier.rollBack(certifier.epoch ?? 0, "the test says so");
  expect(await stack.redis.exists(name)).toBe(0);
});

it("a partition is looked at once more after a look that met what only scripts write", async () => {
  meanwhile = async () => {
    await workersGoOn();
    if (looks === 2) {
      await stack.redis.xadd(queue, "*", "t", "came with its slot");
    } else if (looks === 3) {
      await stack.redis.hset(keys.run("late"), "s", "running");
    }
  };
  await rolledBack();
  expect(looks).toBe(4);
  expect(await stack.redis.exists(keys.run("gone"), keys.run("late"))).toBe(0);
  expect(await stack.redis.xlen(queue)).toBe(0);
});

/** All keys as they are; what it returns puts them back: a promoted replica that lacks the rest. */
async function replica(): Promise<() => Promise<void>> {
  const { redis } = stack;
  const names = await allKeys(redis, "*");
  const dumps = await Promise.all(names.map((name) => redis.dumpBuffer(name)));
  return async () => {
    await redis.flushall();
    await Promise.all(names.map((name, i) => redis.restore(name, 0, dumps[i] as Buffer)));
  };
}

it("a partition is rebuilt anew if its server was replaced by one that lacks a part of the rebuild", async () => {
  let rebuilds = 0;
  context.onRollback = async ({ write }) => {
    rebuilds += 1;
    const promote = await replica();
    await write([["HSET", keys.run("back"), "s", "running"]]);
    await (rebuilds === 1 ? promote() : undefined);
    await write([["HSET", keys.run("rest"), "s", "running"]]);
  };
  const rollBack = certifier.rollBack(certifier.epoch ?? 0, "the test says so");
  await rollBack.catch(() => undefined);
  await waitFor(() => certifier.epoch !== null, { describe: "it is not certified" });
  expect(await stack.redis.exists(keys.run("back"), keys.run("rest"))).toBe(2);
  expect(rebuilds).toBe(2);
});

/** A rebuild of three runs, written at one time; how often one was begun, and whose hashes are there. */
async function rebuiltOfThree(): Promise<{ rebuilds: number; there: number }> {
  let rebuilds = 0;
  const runs = ["one", "two", "three"].map((id) => keys.run(id));
  await stack.redis.del(...runs); // to empty the partition is a write, too
  context.onRollback = async ({ write }) => {
    rebuilds += 1;
    await Promise.all(runs.map((run) => write([["HSET", run, "s", "running"]])));
  };
  const rollBack = certifier.rollBack(certifier.epoch ?? 0, "the test says so");
  await rollBack.catch(() => undefined);
  await waitFor(() => certifier.epoch !== null, { describe: "it is not certified" });
  return { rebuilds, there: await stack.redis.exists(...runs) };
}

it("a rebuild counts a write once whose answer was lost, and which the client has sent again", async () => {
  const again: string[] = [];
  sent = async (args, call) => {
    const run = ["one", "three"].find((id) => args.includes(keys.run(id)));
    if (run !== undefined) {
      again.push(run);
      await call();
    }
    return call();
  };
  expect(await rebuiltOfThree()).toEqual({ rebuilds: 1, there: 3 });
  expect(again).toEqual(["one", "three"]);
});

/** Each call reaches the server a second time; how many came so. */
function eachTwice(): () => number {
  let count = 0;
  sent = async (_, call) => {
    count += 1;
    await call();
    return call();
  };
  return () => count;
}

it("a rebuild of which each write comes twice, the first and the last as well, is begun once", async () => {
  const count = eachTwice();
  const epoch = certifier.epoch ?? 0;
  expect(await rebuiltOfThree()).toEqual({ rebuilds: 1, there: 3 });
  expect(count()).toBeGreaterThan(4);
  expect(certifier.epoch).toBe(epoch + 1);
});

it("a restarted server is certified once, where that comes twice", async () => {
  eachTwice();
  const epoch = certifier.epoch ?? 0;
  let rebuilds = 0;
  context.onRollback = () => Promise.resolve(void (rebuilds += 1));
  await stack.redis.script("FLUSH");
  await waitFor(() => certifier.epoch === epoch + 1, { describe: "it is not certified" });
  expect(rebuilds).toBe(0);
});

/** The last call that writes these names, as it went out. */
function lastOf(...names: string[]): () => Promise<unknown> {
  let last = (): Promise<unknown> => Promise.reject(new Error(`nobody wrote ${names.join()}`));
  sent = (args, call) => {
    const text = args.map(String).join();
    last = names.every((name) => text.includes(name)) ? call : last;
    return call();
  };
  return () => last();
}

it("what opened a partition, and arrives once more, opens none that has another epoch since", async () => {
  const opens = lastOf("HSET", "epoch");
  await rebuiltOfThree();
  await stack.redis.script("FLUSH");
  const epoch = certifier.epoch ?? 0;
  sent = (_, call) => call();
  await waitFor(() => certifier.epoch === epoch + 1, { describe: "it is not certified" });
  await opens();
  expect(await stack.redis.hget(keys.meta, "epoch")).toBe(String(epoch + 1));
});

it("what begins a new partition, and arrives once more, takes back nothing that was done there since", async () => {
  const begins = lastOf(keys.meta, "nonce");
  const epoch = certifier.epoch ?? 0;
  const text = "UPDATE cursors SET seq = 0 WHERE partition = 0"; // tests before have rebuilt it
  await stack.db.query({ name: "test_new", text });
  await stack.redis.unlink(keys.meta, keys.ev);
  const isBegun = async (): Promise<boolean> =>
    (await stack.redis.hget(keys.meta, "epoch")) === String(epoch);
  await waitFor(isBegun, { describe: "it is not certified" });
  await stack.redis.hset(keys.meta, "seq", 7, "nonce", "of 7");
  await begins();
  expect(await stack.redis.hmget(keys.meta, "seq", "nonce")).toEqual(["7", "of 7"]);
});

it("a rebuild goes on where a write arrives before one that was sent before it", async () => {
  let arrived = (): void => undefined;
  const overtaken = new Promise<void>((done) => (arrived = done));
  sent = async (args, call) => {
    if (args.includes(keys.run("one"))) {
      await overtaken;
    }
    return call().finally(() => args.includes(keys.run("two")) && arrived());
  };
  expect(await rebuiltOfThree()).toEqual({ rebuilds: 1, there: 3 });
});

it("a rebuild goes on after a write that is too long to be sent at all", async () => {
  const tooLong = new Proxy(["HSET", keys.run("long"), "s", "…"], {
    get: (of, name): unknown => {
      if (name === "length") {
        throw new RangeError("Invalid string length");
      }
      return Reflect.get(of, name);
    },
  });
  const failed: unknown[] = [];
  context.onRollback = async ({ write }) => {
    const long = write([tooLong]).catch((error: unknown) => failed.push(error));
    await write([["HSET", keys.run("short"), "s", "running"]]);
    await long;
  };
  await certifier.rollBack(certifier.epoch ?? 0, "the test says so");
  expect(failed).toEqual([new RangeError("Invalid string length")]);
  expect(await stack.redis.exists(keys.run("short"), keys.run("long"))).toBe(1);
  expect(certifier.epoch).not.toBeNull();
});
