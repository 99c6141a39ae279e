import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import { comparePositions, defineFunction, feedAddress, partitionKeys } from "../sdk/internal.ts";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { waitFor } from "../test/support/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { Hub } from "./hub.ts";
import { createGateway } from "./index.ts";
import { JournalReader } from "./journal-reader.ts";

interface Typed {
  type: string;
}

const logger = pino({ level: "silent" });
let engine: Engine;

/** Resolves when the function "gate" may go on. */
let open: () => void;
const opened = new Promise<void>((resolve) => (open = resolve));

beforeAll(async () => {
  engine = await startEngine();
  const gate = defineFunction("gate", () => opened);
  await engine.worker({ registry: new FunctionRegistry([gate]) });
});
afterAll(() => engine.stop());

const echo = { function_name: "builtin.echo" };
const chain = {
  name: "feed",
  nodes: [
    { id: "a", type: "function", config: { function_name: "builtin.sleep", params: { ms: 50 } } },
    { id: "b", type: "function", config: echo },
    { id: "skipped", type: "function", config: echo },
    { id: "c", type: "function", config: { function_name: "builtin.sleep", params: { ms: 50 } } },
  ],
  edges: [
    { from: "a", to: "b" },
    { from: "b", to: "skipped", condition: "false" },
    { from: "b", to: "c" },
  ],
};

/** Sends a text and resolves with the first message. */
function say(text: string | Buffer): Promise<{ [key: string]: unknown }> {
  const socket = new WebSocket(`${engine.gateway.url().replace("http", "ws")}/api/v1/ws`);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("open", () => socket.send(text));
    socket.on("message", (data: Buffer) => {
      socket.close();
      resolve(JSON.parse(data.toString()) as { [key: string]: unknown });
    });
  });
}

describe("the live feed", () => {
  it("begins with a snapshot, tells every change in order, and ends", async () => {
    // Nothing of it may be over before the snapshot.
    const nodes = [{ id: "a", type: "function", config: { function_name: "gate" } }];
    const workflow = { ...chain, nodes: [...nodes, ...chain.nodes.slice(1)] };
    const runId = await engine.submit({ workflow, input: {} });
    const heard = await engine.follow(runId, {
      onMessage: ({ type }) => type === "snapshot" && open(),
    });
    expect(heard[0]).toMatchObject({ type: "snapshot", run_id: runId });
    expect(heard.at(-1)).toMatchObject({ type: "end", status: "COMPLETED" });
    const positions = heard.slice(1).map((message) => message.position as string);
    positions.slice(1).forEach((position, i) => {
      expect(comparePositions(position, positions[i] as string)).toBeGreaterThanOrEqual(0);
    });
    const progress = heard.slice(1, -1).map((message) => message.progress as number);
    expect([...progress].sort((x, y) => x - y)).toEqual(progress);
    expect(progress.at(-1)).toBe(100);
    expect(heard.filter((m) => m.node === "skipped").map((m) => m.status)).toEqual(["skipped"]);
  });

  it("a reconnect with the last position misses nothing and repeats nothing", async () => {
    const runId = await engine.submit({ workflow: chain, input: {} });
    await engine.ended(runId);
    const all = await engine.follow(runId, { from: "0.-1" });
    for (let cut = 1; cut < all.length; cut++) {
      const from = all[cut - 1]?.position as string;
      const rest = all.filter((m) => comparePositions(m.position as string, from) > 0);
      if (rest.length > 0) {
        expect(await engine.follow(runId, { from })).toEqual(rest);
      }
    }
  });

  it("a run that has ended gives its snapshot and its end", async () => {
    const runId = await engine.submit({ workflow: chain, input: {} });
    await engine.ended(runId);
    const heard = await engine.follow(runId);
    expect(heard.map((message) => message.type)).toEqual(["snapshot", "end"]);
    expect(heard[0]).toMatchObject({ status: "COMPLETED", progress: 100 });
  });

  it("many watchers of one run hear the same", async () => {
    const runId = await engine.submit({ workflow: chain, input: {} });
    const from = "0.-1";
    const all = await Promise.all(Array.from({ length: 20 }, () => engine.follow(runId, { from })));
    all.forEach((heard) => expect(heard).toEqual(all[0]));
  });

  it.each([
    ["an unknown run", '{"type":"subscribe","run_id":"nope"}', "GV_RUN_NOT_FOUND"],
    ["no run", '{"type":"subscribe"}', "GV_BAD_INPUT"],
    ["a wrong position", '{"type":"subscribe","run_id":"x","from":"y"}', "GV_BAD_INPUT"],
    ["an unknown type", '{"type":"hello"}', "GV_BAD_INPUT"],
    ["broken JSON", '{"type":', "GV_BAD_INPUT"],
    ["no object", "7", "GV_BAD_INPUT"],
  ])("%s is answered with an error", async (_, text, code) => {
    expect(await say(text)).toMatchObject({ type: "error", code });
  });

  it("binary garbage is answered with an error, a ping with a pong", async () => {
    expect(await say(Buffer.from([0, 255, 3]))).toMatchObject({ code: "GV_BAD_INPUT" });
    expect(await say('{"type":"ping"}')).toEqual({ type: "pong" });
  });

  it("is alive and ready, and knows no other page", async () => {
    const get = async (path: string): Promise<number> =>
      (await fetch(`${engine.gateway.url()}${path}`)).status;
    expect([await get("/healthz"), await get("/readyz"), await get("/x")]).toEqual([200, 200, 404]);
  });
});

describe("a port that is taken", () => {
  it("is an error of the start, and what was started for it stops", async () => {
    const { hostname: host, port } = new URL(engine.gateway.url());
    const { redisUrl, db } = engine;
    const address = { host, port: Number(port), redisUrl, db, partitions: 1 };
    const second = createGateway({ ...address, logger });
    await expect(second.start()).rejects.toMatchObject({ code: "EADDRINUSE" });
    await second.stop(0);
    expect(await say('{"type":"ping"}')).toEqual({ type: "pong" });
  });
});

it("a gateway on an IPv6 address tells one that its clients take", () => {
  const { redisUrl, db } = engine;
  const at = { host: "::1", port: 8080, redisUrl, db, partitions: 1, logger };
  expect(feedAddress(createGateway(at).url()).host).toBe("[::1]:8080");
});

it("a gateway stops in its time, also under a client that does not answer", async () => {
  const { redisUrl, db } = engine;
  const at = { host: "127.0.0.1", port: 0, redisUrl, db, partitions: 1, logger };
  const gateway = createGateway(at);
  await gateway.start();
  const connect = async (): Promise<{ socket: WebSocket; closed: Promise<number> }> => {
    const socket = new WebSocket(feedAddress(gateway.url()));
    const closed = new Promise<number>((resolve) => socket.on("close", resolve));
    await new Promise((resolve) => socket.on("open", resolve));
    return { socket, closed };
  };
  const [good, silent] = [await connect(), await connect()];
  silent.socket.pause();
  await gateway.stop(500);
  expect(await good.closed).toBe(1001);
  silent.socket.resume();
  await silent.closed;
});

describe("a feed that several watch", () => {
  it("stays for who is still coming when another leaves", async () => {
    const runId = await engine.submit({ workflow: chain, input: {} });
    const hub = new Hub({ redisUrl: engine.redisUrl, db: engine.db, partitions: 1, logger });
    await hub.start();
    const heard: string[] = [];
    const hear = (text: string): void => void heard.push((JSON.parse(text) as Typed).type);
    const watcher = { take: ({ text }: { text: string }) => hear(text), tell: hear };
    const silent = { take: () => undefined, tell: () => undefined };
    const first = hub.watch(runId, silent, null);
    const second = hub.watch(runId, watcher, { position: "0.-1", heard: Infinity });
    hub.unwatch(await first, silent);
    await second;
    await waitFor(() => heard.includes("end"));
    await hub.stop();
  });
});

describe("a journal that does not continue what was heard", () => {
  it("is noticed, and records that follow are heard all the same", async () => {
    const redis = engine.redis;
    const partition = 77;
    const heard: string[] = [];
    const reader = new JournalReader({
      ...{ redisUrl: engine.redisUrl, partition, logger },
      watched: new Set(["r"]),
      onRecord: (record) => heard.push(String(record.seq)),
      onBreak: () => heard.push("break"),
    });
    const { ev } = partitionKeys(partition);
    const add = (seq: number, nonce: string, prev: string): Promise<unknown> => {
      const fields = { v: "1", seq, nonce, prev, t: 1, b: '[{"r":"r"}]' };
      return redis.xadd(ev, "*", ...Object.entries(fields).flat());
    };
    await add(1, "a", "");
    await reader.start();
    await add(2, "b", "a");
    await redis.xadd(ev, "*", "what", "is this");
    await add(4, "d", "c");
    await add(5, "e", "d");
    await add(5, "x", "d");
    await waitFor(() => heard.length === 7);
    expect(heard).toEqual(["2", "break", "break", "4", "5", "break", "5"]);
    await reader.stop();
    await redis.del(ev);
  });

  it("is heard also where it began anew under a clock that is behind", async () => {
    const heard: string[] = [];
    const partition = 78;
    const reader = new JournalReader({
      ...{ redisUrl: engine.redisUrl, partition, logger },
      watched: new Set(["r"]),
      onRecord: (record) => heard.push(String(record.seq)),
      onBreak: () => heard.push("break"),
    });
    const { ev } = partitionKeys(partition);
    const add = (id: string, ...[seq, nonce, prev]: string[]): Promise<unknown> => {
      const fields = { v: "1", seq, nonce, prev, t: 1, b: '[{"r":"r"}]' };
      return engine.redis.xadd(ev, id, ...(Object.entries(fields).flat() as string[]));
    };
    await add("9000-0", "7", "a", "");
    await reader.start();
    await add("9000-1", "8", "b", "a");
    await waitFor(() => heard.length === 1);
    await engine.redis.del(ev);
    await add("10-0", "8", "c", "a");
    await waitFor(() => heard.length === 3);
    expect(heard).toEqual(["8", "break", "8"]);
    await reader.stop();
    await engine.redis.del(ev);
  });
});
