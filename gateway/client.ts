/**
 * One WebSocket client: what it may say, and how fast it is spoken to.
 *
 * A client that does not keep up is not buffered for without bound: beyond BUFFER_MAX bytes its
 * messages, snapshots included, are dropped, and when the socket has drained it gets a fresh
 * snapshot of each run that it missed something of, and goes on from there. Nor is it heard before:
 * what it asks is answered, pings too, so who asks and takes no answers would be buffered for as well.
 */
import type { WebSocket } from "ws";
import { errorCode } from "../sdk/internal.ts";
import type { GatewayCounts } from "./counts.ts";
import type { Hub } from "./hub.ts";
import type { FeedMessage } from "./messages.ts";
import type { RunFeed, Watcher } from "./run-feed.ts";

export const MESSAGE_BYTES_MAX = 64 * 1024;
/** Frames that a message may come in, and reads of the connection that one frame may take. */
export const MESSAGE_PIECES_MAX = 16;
export const MESSAGE_READS_MAX = 256;
const BUFFER_MAX = 1024 * 1024;
const DRAINED = 64 * 1024;
const DRAIN_POLL_MS = 100;
const SUBSCRIPTIONS_MAX = 1000;
const POSITION = /^\d{1,16}\.-?\d{1,10}$/;

interface Subscription extends Watcher {
  feed: RunFeed | null;
  isLagging: boolean;
  isOver: boolean;
}

export class FeedClient {
  readonly #socket: WebSocket;
  readonly #hub: Hub;
  readonly #counts: Pick<GatewayCounts, "feedDropped" | "feedSilent">;
  readonly #subscriptions = new Map<string, Subscription>();
  #drain: NodeJS.Timeout | null = null;
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** Called when the buffer has drained, or there is nothing to wait for any more. */
  #onDrained: (() => void) | null = null;
  #isClosed = false;
  #isAlive = true;
  #bufferedBefore = 0;

  constructor(
    socket: WebSocket,
    hub: Hub,
    counts: Pick<GatewayCounts, "feedDropped" | "feedSilent">,
  ) {
    this.#socket = socket;
    this.#hub = hub;
    this.#counts = counts;
    socket.on("message", (data: Buffer, isBinary) =>
      this.#enqueue(() => this.#heard(isBinary ? "" : data.toString())),
    );
    socket.on("ping", (data: Buffer) => this.#enqueue(() => socket.pong(data)));
    socket.on("pong", () => (this.#isAlive = true));
    socket.on("close", () => this.#close());
    socket.on("error", () => this.#close());
  }

  /** To be called now and then: asks whether the other side is there, and ends what nobody answers. */
  beat(): void {
    const buffered = this.#socket.bufferedAmount;
    // Of one that is not read no pong is heard: it lives as long as it takes what it was sent.
    if (!this.#isAlive && buffered >= this.#bufferedBefore) {
      this.#counts.feedSilent += 1;
      this.#socket.terminate();
      return;
    }
    this.#isAlive = false;
    this.#bufferedBefore = buffered;
    this.#socket.ping();
  }

  /** One message after the other, and no more of them are read meanwhile: answers cost queries. */
  #enqueue(answer: () => void | Promise<void>): void {
    this.#waiting++;
    this.#socket.pause();
    this.#turn = this.#turn
      .then(() => this.#drained())
      .then(() => (this.#isClosed ? undefined : answer()))
      .catch((error: unknown) => this.#refuse(error))
      .finally(() => {
        if (--this.#waiting === 0) {
          this.#socket.resume();
        }
      });
  }

  /** Until the client has taken enough of what it was sent, or has gone. */
  #drained(): Promise<void> {
    if (this.#isClosed || this.#socket.bufferedAmount <= BUFFER_MAX) {
      return Promise.resolve();
    }
    this.#watchDrain();
    return new Promise((resolve) => (this.#onDrained = resolve));
  }

  async #heard(text: string): Promise<void> {
    const message = parse(text);
    const runId = message["run_id"];
    switch (message["type"]) {
      case "ping":
        this.#send(JSON.stringify({ type: "pong" }));
        return;
      case "subscribe":
      case "unsubscribe":
        if (typeof runId !== "string" || runId === "") {
          this.#error("GV_BAD_INPUT", `${message["type"]} needs a run_id`);
        } else if (message["type"] === "unsubscribe") {
          this.#unsubscribe(runId);
        } else {
          await this.#subscribe(runId, message);
        }
        return;
      default: {
        const known = "expected a JSON object of type subscribe, unsubscribe or ping";
        this.#error("GV_BAD_INPUT", known);
      }
    }
  }

  async #subscribe(runId: string, message: { [key: string]: unknown }): Promise<void> {
    const { from = null, heard = Infinity, output = false } = message;
    if (from !== null && (typeof from !== "string" || !POSITION.test(from))) {
      this.#error("GV_BAD_INPUT", "from is a position, as in the messages of this feed", runId);
      return;
    }
    if (typeof heard !== "number" || !(heard >= 0)) {
      this.#error("GV_BAD_INPUT", "heard is a number: how many messages of that position", runId);
      return;
    }
    if (this.#subscriptions.size >= SUBSCRIPTIONS_MAX) {
      this.#error("GV_BAD_INPUT", `at most ${SUBSCRIPTIONS_MAX} runs per connection`, runId);
      return;
    }
    this.#unsubscribe(runId);
    const subscription = this.#subscription(output === true);
    this.#subscriptions.set(runId, subscription);
    try {
      const place = from === null ? null : { position: from, heard };
      const feed = await this.#hub.watch(runId, subscription, place);
      subscription.feed = feed;
      if (subscription.isOver) {
        this.#hub.unwatch(feed, subscription); // unsubscribed or closed meanwhile
      }
    } catch (error) {
      this.#subscriptions.delete(runId);
      this.#refuse(error, runId);
    }
  }

  #subscription(withOutput: boolean): Subscription {
    const subscription: Subscription = {
      feed: null,
      isLagging: false,
      isOver: false,
      take: (message: FeedMessage) =>
        this.#offer(subscription, withOutput ? message.withOutput : message.text),
      tell: (text: string) => this.#offer(subscription, text),
    };
    return subscription;
  }

  #offer(subscription: Subscription, text: string): void {
    if (subscription.isOver) {
      return;
    }
    if (subscription.isLagging || this.#socket.bufferedAmount > BUFFER_MAX) {
      subscription.isLagging = true;
      this.#counts.feedDropped += 1;
      this.#watchDrain();
    } else {
      this.#send(text);
    }
  }

  #watchDrain(): void {
    this.#drain ??= setInterval(() => {
      if (this.#socket.bufferedAmount > DRAINED) {
        return;
      }
      clearInterval(this.#drain ?? undefined);
      this.#drain = null;
      this.#onDrained?.();
      for (const subscription of this.#subscriptions.values()) {
        if (subscription.isLagging) {
          subscription.isLagging = false;
          subscription.feed?.snapshot(subscription);
        }
      }
    }, DRAIN_POLL_MS);
  }

  #unsubscribe(runId: string): void {
    const subscription = this.#subscriptions.get(runId);
    if (subscription !== undefined) {
      this.#subscriptions.delete(runId);
      subscription.isOver = true;
      if (subscription.feed !== null) {
        this.#hub.unwatch(subscription.feed, subscription);
      }
    }
  }

  #close(): void {
    this.#isClosed = true;
    clearInterval(this.#drain ?? undefined);
    this.#onDrained?.();
    [...this.#subscriptions.keys()].forEach((runId) => this.#unsubscribe(runId));
  }

  #refuse(error: unknown, runId?: string): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#error(errorCode(error) ?? "GV_DATABASE_UNAVAILABLE", message, runId);
  }

  #error(code: string, message: string, runId?: string): void {
    this.#send(JSON.stringify({ type: "error", code, message, run_id: runId }));
  }

  #send(text: string): void {
    if (this.#socket.readyState === this.#socket.OPEN) {
      this.#socket.send(text);
    }
  }
}

/** A client's message; an empty object if it is not one. */
function parse(text: string): { [key: string]: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as { [key: string]: unknown }) : {};
  } catch {
    return {};
  }
}
