import { EventEmitter } from "node:events";
import { describe, expect, it, vi } from "vitest";
import type { WebSocket } from "ws";
import type { Ir } from "../compiler/ir.ts";
import { compile } from "../compiler/index.ts";
import type { Transition } from "../sdk/internal.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { GatewayCounts } from "./counts.ts";
import { FeedClient } from "./client.ts";
import type { Hub } from "./hub.ts";
import { RunFeed } from "./run-feed.ts";

const document = {
  name: "one",
  nodes: [{ id: "a", type: "function", config: { function_name: "builtin.echo" } }],
  edges: [],
};
const ir = compile({ document }).ir as Ir;

const MIB = 1024 * 1024;

/** Lets what is under way go on for so many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await new Promise(setImmediate);
  }
}

/** A socket whose other side reads nothing until it is told to. */
class SlowSocket extends EventEmitter {
  readonly OPEN = 1;
  readonly readyState = 1;
  bufferedAmount = 0;
  readonly sent: { type: string; position?: string }[] = [];
  pause = vi.fn();
  resume = vi.fn();
  pong = vi.fn((data: Buffer) => void (this.bufferedAmount += data.length));
  ping = vi.fn();
  terminate = vi.fn();

  send(text: string): void {
    this.bufferedAmount += text.length;
    this.sent.push(JSON.parse(text) as { type: string });
  }

  say(message: object): void {
    this.emit("message", Buffer.from(JSON.stringify(message)), false);
  }
}

interface Subscribed {
  feed: RunFeed;
  socket: SlowSocket;
  hub: Hub;
  client: FeedClient;
}

async function subscribed(): Promise<Subscribed> {
  const feed = new RunFeed("r", ir, () => Promise.resolve(3));
  await feed.load(() => Promise.resolve([]));
  const hub = {
    watch: vi.fn((_run: string, watcher: Parameters<RunFeed["watch"]>[0]) => {
      feed.watch(watcher);
      return new Promise<RunFeed>((watched) => setImmediate(watched, feed));
    }),
    unwatch: vi.fn((of: RunFeed, watcher: Parameters<RunFeed["watch"]>[0]) => of.unwatch(watcher)),
  };
  const socket = new SlowSocket();
  const counts = new GatewayCounts();
  const client = new FeedClient(socket as never as WebSocket, hub as never as Hub, counts);
  socket.say({ type: "subscribe", run_id: "r" });
  await waitFor(() => socket.sent.length > 0);
  return { feed, socket, hub: hub as never as Hub, client };
}

const place = (seq: number, e: Transition["e"], more: Partial<Transition> = {}) => ({
  position: `${seq}.0`,
  tMs: seq,
  transition: { r: "r", e, ...more },
});

describe("a client that does not keep up", () => {
  it("is not buffered for without bound, and goes on from a new snapshot", async () => {
    const { feed, socket } = await subscribed();
    feed.take(place(1, "run.started"));
    const before = socket.sent.length;
    socket.bufferedAmount = 2 * MIB;
    for (let seq = 2; seq < 1000; seq++) {
      feed.take(place(seq, "node.retrying", { n: 0, a: seq }));
    }
    expect(socket.sent.length).toBe(before);
    socket.bufferedAmount = 0;
    await waitFor(() => socket.sent.length > before);
    expect(socket.sent.slice(before)).toMatchObject([{ type: "snapshot", position: "999.0" }]);
    feed.take(place(1000, "node.retrying", { n: 0, a: 1000 }));
    expect(socket.sent.at(-1)).toMatchObject({ type: "status_update", position: "1000.0" });
    socket.emit("close");
  });

  it("learns of the end though it was told of nothing else", async () => {
    const { feed, socket } = await subscribed();
    socket.bufferedAmount = 2 * MIB;
    feed.take(place(1, "run.started"));
    feed.take(place(2, "node.completed", { n: 0, a: 1, x: "", o: 1 }));
    feed.take(place(3, "run.completed"));
    socket.bufferedAmount = 0;
    await waitFor(() => socket.sent.at(-1)?.type === "end");
    expect(socket.sent.map(({ type }) => type)).toEqual(["snapshot", "snapshot", "end"]);
    socket.emit("close");
  });

  it("is not answered either, nor read, until it has taken the answers before", async () => {
    const { socket } = await subscribed();
    await waitFor(() => socket.resume.mock.calls.length > 0);
    const asked = 20_000;
    for (let n = 0; n < asked; n++) {
      socket.say({});
    }
    await waitFor(() => socket.bufferedAmount > MIB);
    await turns(asked);
    expect(socket.bufferedAmount).toBeLessThan(MIB + 1024);
    const errors = socket.sent.length;
    socket.emit("ping", Buffer.alloc(125));
    await turns(10);
    expect([socket.pong, socket.resume].map(({ mock }) => mock.calls.length)).toEqual([0, 1]);
    await waitFor(() => {
      socket.bufferedAmount = 0;
      return socket.pong.mock.calls.length === 1;
    });
    expect(errors).toBeLessThan(asked);
    expect(socket.sent.length).toBe(1 + asked);
    await waitFor(() => socket.resume.mock.calls.length === 2);
    socket.emit("close");
  });

  it("is forgotten when it closes", async () => {
    const { feed, socket, hub } = await subscribed();
    socket.emit("close");
    expect(hub.unwatch).toHaveBeenCalledOnce();
    const before = socket.sent.length;
    feed.take(place(1, "run.started"));
    expect(socket.sent.length).toBe(before);
  });

  it("that has gone is not heard any more, whatever it had asked for", async () => {
    const { socket, hub } = await subscribed();
    for (let n = 0; n < 300; n++) {
      socket.say({ type: "subscribe", run_id: `r${n}` });
    }
    await turns(5);
    socket.emit("close");
    const begun = vi.mocked(hub).watch.mock.calls.length;
    expect(begun).toBeLessThan(100);
    await turns(300);
    expect(vi.mocked(hub).watch).toHaveBeenCalledTimes(begun);
    expect(vi.mocked(hub).unwatch).toHaveBeenCalledTimes(begun);
  });

  it("is alive as long as it answers pings, or takes what it is sent", async () => {
    const { socket, client } = await subscribed();
    const beats = (buffered: number): number => {
      socket.bufferedAmount = buffered;
      client.beat();
      return socket.terminate.mock.calls.length;
    };
    expect([beats(0), socket.emit("pong"), beats(2 * MIB)]).toEqual([0, true, 0]);
    // It is not read as long as it takes little, and so its pongs are not heard.
    expect([beats(MIB), beats(MIB - 1), beats(MIB - 1)]).toEqual([0, 0, 1]);
    socket.emit("close");
  });

  it("is answered one message after the other, and not read meanwhile", async () => {
    const { socket } = await subscribed();
    await waitFor(() => socket.resume.mock.calls.length > 0);
    socket.say({ type: "ping" });
    socket.say({ type: "nonsense" });
    socket.say({ type: "ping" });
    await waitFor(() => socket.sent.length === 4);
    expect(socket.sent.slice(1).map(({ type }) => type)).toEqual(["pong", "error", "pong"]);
    await waitFor(() => socket.resume.mock.calls.length === 2);
    socket.emit("close");
  });
});
