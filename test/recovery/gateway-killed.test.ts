/**
 * A gateway is killed with kill -9 while it tells: who subscribed to it goes on from the last
 * position at the one that comes in its place, and has heard in the end what a gateway that was
 * never killed has told.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { followFeed, type FeedMessage } from "../../sdk/feed-client.ts";
import { createClient, type Client } from "../../sdk/index.ts";
import { comparePositions } from "../../sdk/internal.ts";
import { hasPostgres } from "../chaos/has-postgres.ts";
import { follow, type FeedText } from "../harness/engine.ts";
import { freePort, waitFor } from "../support/index.ts";
import { Scene } from "./scene.ts";

const RUNS = 6;
const STEPS = 6;
const LIMIT_MS = 60_000;
/** Of the gateway that is killed, among the gateways; before it is the one that stays. */
const VICTIM = 1;

const indices = Array.from({ length: STEPS }, (_, i) => i);
const echo = { type: "function", config: { function_name: "builtin.echo" } };

/** Goes on signal by signal; in each step one position tells of three nodes, two of them skipped. */
const stepwise = {
  name: "stepwise",
  nodes: indices.flatMap((i) => [
    { id: `wait${i}`, type: "wait", config: { signal: `go${i}` } },
    { id: `step${i}`, ...echo },
    { id: `not${i}`, ...echo },
    { id: `nor${i}`, ...echo },
  ]),
  edges: indices.flatMap((i) => [
    ...(i === 0 ? [] : [{ from: `step${i - 1}`, to: `wait${i}` }]),
    { from: `wait${i}`, to: `step${i}` },
    { from: `step${i}`, to: `not${i}`, condition: "false" },
    { from: `not${i}`, to: `nor${i}` },
  ]),
};

interface Subscriber {
  runId: string;
  heard: FeedMessage[];
  /** How often it has lost its gateway. */
  lost: number;
  over: Promise<void>;
}

function subscribe(url: string, runId: string): Subscriber {
  const heard: FeedMessage[] = [];
  const subscriber: Subscriber = { runId, heard, lost: 0, over: Promise.resolve() };
  subscriber.over = followFeed({
    ...{ url, runId, signal: new AbortController().signal },
    onMessage: (message) => void heard.push(message),
    onRetry: () => void subscriber.lost++,
  });
  return subscriber;
}

/** One address before several gateways: each connection goes to the one that `gatewayUrl` tells. */
async function balancer(gatewayUrl: () => string): Promise<Server> {
  const server = createServer((client: Socket) => {
    const { hostname, port } = new URL(gatewayUrl());
    const gateway = connect(Number(port), hostname);
    const either: [Socket, Socket][] = [
      [client, gateway],
      [gateway, client],
    ];
    for (const [one, other] of either) {
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
  return server;
}

describe("a gateway killed with kill -9", async () => {
  if (!(await hasPostgres())) {
    it.skip("needs a Postgres of its own", () => undefined);
    return;
  }
  let scene: Scene;
  let client: Client;
  let survivor = "";
  beforeAll(async () => {
    scene = await Scene.start(1);
    await scene.stack.spawn("gateway");
    survivor = scene.stack.gatewayUrl;
    const { box, db } = scene.stack;
    client = await createClient({ redisUrl: box.url, database: db });
    const port = await freePort();
    scene.stack.more = { ...scene.stack.more, port };
    await scene.stack.spawn("gateway");
  }, LIMIT_MS);
  afterAll(async () => {
    await client.close();
    await scene.stack.stop();
  });

  const signalAll = (ids: readonly string[], i: number): Promise<unknown> =>
    Promise.all(ids.map((id) => client.signal(id, `go${i}`, i)));

  /** Takes the runs a step on, and kills the gateway as soon as it has told anybody of it. */
  async function killWhileTelling(
    subscribers: readonly Subscriber[],
    ids: readonly string[],
    step: number,
  ): Promise<void> {
    const count = (): number => subscribers.reduce((sum, { heard }) => sum + heard.length, 0);
    const before = count();
    await signalAll(ids, step);
    await waitFor(() => count() > before, { timeoutMs: LIMIT_MS, describe: "nothing is told" });
    await scene.stack.kill("gateway", VICTIM);
  }

  /** Two subscribers of each run at `url`, their snapshots there; and what the survivor tells. */
  async function watch(
    url: string,
    ids: readonly string[],
  ): Promise<{ subscribers: Subscriber[]; truth: Promise<FeedText[]>[] }> {
    const truth = ids.map((id) => follow(survivor, id, { from: "0.-1" }));
    const subscribers = [...ids, ...ids].map((id) => subscribe(url, id));
    await waitFor(() => subscribers.every(({ heard }) => heard.length > 0), {
      ...{ timeoutMs: LIMIT_MS, describe: "not everybody has a snapshot" },
    });
    return { subscribers, truth };
  }

  /** Each has lost its gateway, and heard all that follows its one snapshot, once and in order. */
  async function expectWhole(
    ids: readonly string[],
    { subscribers, truth }: Awaited<ReturnType<typeof watch>>,
  ): Promise<void> {
    await Promise.all(subscribers.map(({ over }) => over));
    const told = new Map(
      await Promise.all(truth.map(async (all, i) => [ids[i], await all] as const)),
    );
    for (const { runId, heard, lost } of subscribers) {
      const [snapshot, ...rest] = heard as FeedText[];
      const after = snapshot?.position as string;
      expect(lost).toBeGreaterThan(0);
      expect(snapshot?.type).toBe("snapshot");
      expect(rest.at(-1)).toMatchObject({ type: "end", status: "COMPLETED" });
      expect(rest).toEqual(
        told.get(runId)?.filter(({ position }) => comparePositions(position as string, after) > 0),
      );
    }
  }

  it("and started again: its subscribers miss nothing and hear nothing twice", async () => {
    const ids = await scene.submit(stepwise, RUNS);
    const watched = await watch(scene.stack.gatewayUrl, ids);
    for (let step = 0; step < STEPS; step += 2) {
      await killWhileTelling(watched.subscribers, ids, step);
      await signalAll(ids, step + 1); // what happens while nobody tells it
      await scene.stack.spawn("gateway");
    }
    await expectWhole(ids, watched);
  }, 180_000);

  it("for good: behind one address another takes its subscribers where they were", async () => {
    const ids = await scene.submit(stepwise, RUNS);
    let current = scene.stack.gatewayUrl;
    const address = await balancer(() => current);
    const { port } = address.address() as AddressInfo;
    const watched = await watch(`http://127.0.0.1:${port}`, ids);
    await killWhileTelling(watched.subscribers, ids, 0);
    current = survivor;
    for (const step of indices.slice(1)) {
      await signalAll(ids, step);
    }
    await expectWhole(ids, watched);
    await new Promise((closed) => address.close(closed));
  }, 180_000);
});
