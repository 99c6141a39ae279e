import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { FEED_HEARTBEAT_MS, feedAddress } from "./feed-address.ts";
import { followFeed, type FeedMessage } from "./feed-client.ts";

const snapshot = { type: "snapshot", status: "RUNNING", progress: 0, nodes: {}, position: "2.0" };
const update = (position: string, node: string) => ({
  ...{ type: "status_update", event: "node.completed", node, attempt: 1, status: "completed" },
  ...{ progress: 1, timestamp: new Date(0).toISOString(), position },
});
const end = { type: "end", status: "COMPLETED", error: null, position: "9.0" };

let server: WebSocketServer;
afterEach(() => {
  vi.useRealTimers();
  server.clients.forEach((socket) => socket.terminate());
  return new Promise((closed) => server.close(closed));
});

function answer(answers: object[][], asked: unknown[]): void {
  server.on("connection", (socket: WebSocket) => {
    socket.on("message", (data: Buffer) => {
      const { from, heard } = JSON.parse(data.toString()) as { from?: string; heard?: number };
      asked.push([from, heard]);
      answers.shift()?.forEach((message) => socket.send(JSON.stringify(message)));
      socket.close();
    });
  });
}

/** Timers go only as `advanceTimersByTime` says. */
function fakeTimers(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
}

/** Lets the time until the next try pass. */
function atOnce(_reason: string, waitMs: number): void {
  setImmediate(() => vi.advanceTimersByTime(waitMs));
}

/** A gateway that answers the n-th subscription with the n-th list, and then hangs up. */
async function gateway(answers: object[][]): Promise<{ url: string; asked: unknown[] }> {
  const asked: unknown[] = [];
  server = new WebSocketServer({ port: 0, path: "/api/v1/ws" });
  await new Promise((listens) => server.once("listening", listens));
  answer(answers, asked);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

async function follow(
  url: string,
  onRetry: (reason: string, waitMs: number) => void = () => undefined,
): Promise<string[]> {
  const heard: string[] = [];
  await followFeed({
    ...{ url, runId: "r", signal: new AbortController().signal, onRetry },
    onMessage: (message: FeedMessage) =>
      heard.push(message.type === "status_update" ? (message.node ?? "run") : message.type),
  });
  return heard;
}

describe("a client of the feed", () => {
  it("goes on where it was when the connection is lost", async () => {
    const { url, asked } = await gateway([
      [snapshot, update("3.0", "a")],
      [update("4.0", "b"), end],
    ]);
    expect(await follow(url)).toEqual(["snapshot", "a", "b", "end"]);
    expect(asked).toEqual([
      [undefined, undefined],
      ["3.0", 1],
    ]);
  });

  it("lost between two messages of one position, says how many it has heard", async () => {
    const { url, asked } = await gateway([
      [snapshot, update("3.0", "a"), update("4.0", "b")],
      [],
      [update("4.0", "c"), update("4.0", "b")],
      [end],
    ]);
    expect(await follow(url)).toEqual(["snapshot", "a", "b", "c", "b", "end"]);
    expect(asked.slice(1)).toEqual([
      ["4.0", 1],
      ["4.0", 1],
      ["4.0", 3],
    ]);
  });

  it("takes a new snapshot for what it is", async () => {
    const fresh = { ...snapshot, position: "7.0" };
    const { url, asked } = await gateway([
      [snapshot, update("3.0", "a"), fresh],
      [update("8.0", "b"), end],
    ]);
    expect(await follow(url)).toEqual(["snapshot", "a", "snapshot", "b", "end"]);
    expect(asked).toEqual([
      [undefined, undefined],
      ["7.0", undefined],
    ]);
  });

  it("hears nothing behind the end, though it came with it", async () => {
    const { url } = await gateway([[snapshot, end, snapshot, update("9.0", "a")]]);
    expect(await follow(url)).toEqual(["snapshot", "end"]);
  });

  it("ends with the feed's own error", async () => {
    const error = { type: "error", code: "GV_RUN_NOT_FOUND", message: "there is no run r" };
    const { url } = await gateway([[error]]);
    await expect(follow(url)).rejects.toMatchObject({ code: "GV_RUN_NOT_FOUND" });
  });

  it("tries again after an error that passes, also before it has heard anything", async () => {
    const away = { type: "error", code: "GV_DATABASE_UNAVAILABLE", message: "away for a moment" };
    const { url, asked } = await gateway([[away], [snapshot, update("3.0", "a")], [away], [end]]);
    expect(await follow(url)).toEqual(["snapshot", "a", "end"]);
    expect(asked.slice(2)).toEqual([
      ["3.0", 1],
      ["3.0", 1],
    ]);
  });

  it("ends with such an error if it does not pass", async () => {
    fakeTimers();
    const away = { type: "error", code: "GV_DATABASE_UNAVAILABLE", message: "away for good" };
    const { url, asked } = await gateway(Array.from({ length: 100 }, () => [away]));
    await expect(follow(url, atOnce)).rejects.toMatchObject({
      ...{ code: "GV_DATABASE_UNAVAILABLE", message: "away for good" },
    });
    expect(asked.length).toBeGreaterThan(10);
    expect(asked.length).toBeLessThan(30);
  });

  it("leaves a gateway that is silent, but not one that has only pings to tell", async () => {
    fakeTimers();
    const { url, asked } = await gateway([]);
    server.removeAllListeners("connection");
    const connected = new Promise<WebSocket>((resolve) => server.once("connection", resolve));
    const heard = follow(url, atOnce);
    const socket = await connected;
    await once(socket, "message");
    socket.send(JSON.stringify(snapshot));
    for (let beat = 0; beat < 10; beat++) {
      const pong = once(socket, "pong");
      socket.ping();
      await pong;
      vi.advanceTimersByTime(2 * FEED_HEARTBEAT_MS);
    }
    expect(server.clients.size).toBe(1);
    answer([[end]], asked);
    vi.advanceTimersByTime(FEED_HEARTBEAT_MS);
    expect(await heard).toEqual(["snapshot", "end"]);
    expect(asked).toEqual([["2.0", undefined]]);
  });

  it.each(["hello", "7", '{"type":"hello"}'])(
    "is told by %j that this is no gateway",
    async (text) => {
      const { url } = await gateway([[]]);
      server.on("connection", (socket) => socket.send(text));
      await expect(follow(url)).rejects.toMatchObject({
        ...{ code: "GV_GATEWAY_UNAVAILABLE", message: expect.stringContaining("no gateway") },
      });
    },
  );

  it("that never reaches a gateway says so", async () => {
    const { url } = await gateway([]);
    await new Promise((closed) => server.close(closed));
    await expect(follow(url)).rejects.toMatchObject({ code: "GV_GATEWAY_UNAVAILABLE" });
  });
});

describe("the address of a feed", () => {
  it.each([
    ["http://127.0.0.1:8080", "ws://127.0.0.1:8080/api/v1/ws"],
    ["http://[::1]:8080/", "ws://[::1]:8080/api/v1/ws"],
    ["https://example.org/gavotte", "wss://example.org/gavotte/api/v1/ws"],
    ["wss://example.org/gavotte/", "wss://example.org/gavotte/api/v1/ws"],
  ])("of a gateway at %s is %s", (url, feed) => {
    expect(feedAddress(url).href).toBe(feed);
  });

  it("is none of what is no address", () => {
    for (const url of ["", "8080", "127.0.0.1:8080", "redis://127.0.0.1"]) {
      expect(() => feedAddress(url)).toThrow(expect.objectContaining({ code: "GV_BAD_CONFIG" }));
    }
  });
});
