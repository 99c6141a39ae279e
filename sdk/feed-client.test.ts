import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { followFeed, type FeedMessage } from "./feed-client.ts";

const snapshot = { type: "snapshot", status: "RUNNING", progress: 0, nodes: {}, position: "2.0" };
const update = (position: string, node: string) => ({
  ...{ type: "status_update", event: "node.completed", node, attempt: 1, status: "completed" },
  ...{ progress: 1, timestamp: new Date(0).toISOString(), position },
});
const end = { type: "end", status: "COMPLETED", error: null, position: "9.0" };

let server: WebSocketServer;
afterEach(() => new Promise((closed) => server.close(closed)));

/** A gateway that answers the n-th subscription with the n-th list, and then hangs up. */
async function gateway(answers: object[][]): Promise<{ url: string; asked: unknown[] }> {
  const asked: unknown[] = [];
  server = new WebSocketServer({ port: 0, path: "/api/v1/ws" });
  await new Promise((listens) => server.once("listening", listens));
  server.on("connection", (socket: WebSocket) => {
    socket.on("message", (data: Buffer) => {
      const { from, heard } = JSON.parse(data.toString()) as { from?: string; heard?: number };
      asked.push([from, heard]);
      answers.shift()?.forEach((message) => socket.send(JSON.stringify(message)));
      socket.close();
    });
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

async function follow(url: string): Promise<string[]> {
  const heard: string[] = [];
  await followFeed({
    ...{ url, runId: "r", signal: new AbortController().signal, onRetry: () => undefined },
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

  it("that never reaches a gateway says so", async () => {
    const { url } = await gateway([]);
    await new Promise((closed) => server.close(closed));
    await expect(follow(url)).rejects.toMatchObject({ code: "GV_GATEWAY_UNAVAILABLE" });
  });
});
