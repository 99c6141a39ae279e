/** A process with many WebSocket clients of the gateway: the other end of the feed's row. */
import WebSocket from "ws";
import type { WatchQuestion } from "./feed.ts";
import type { RolePart, WatchersOptions } from "./roles.ts";

/** Clients that connect at one time. */
const CONNECTING = 50;

interface Watched {
  socket: WebSocket;
  ended: Promise<void>;
}

/** Starts it; it connects when it is told what to watch. */
export async function watchers({ url }: WatchersOptions): Promise<RolePart> {
  let watched: Watched[] = [];
  let times: number[] = [];
  const watch = async (runs: string[]): Promise<void> => {
    times = [];
    watched = [];
    for (let from = 0; from < runs.length; from += CONNECTING) {
      const some = runs.slice(from, from + CONNECTING);
      const opened = some.map((run) => subscribe(url, run, (late) => times.push(late)));
      watched.push(...(await Promise.all(opened)));
    }
  };
  const heard = async (): Promise<number[]> => {
    await Promise.all(watched.map(({ ended }) => ended));
    return times;
  };
  return {
    ask: (question) => {
      const asked = question as WatchQuestion;
      return "watch" in asked ? watch(asked.watch) : heard();
    },
    async stop() {
      watched.forEach(({ socket }) => socket.terminate());
    },
  };
}

/** Resolves when the first snapshot has come; `ended` when the run has ended. */
function subscribe(url: string, run: string, late: (ms: number) => void): Promise<Watched> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/api/v1/ws`);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("open", () => socket.send(JSON.stringify({ type: "subscribe", run_id: run })));
    const ended = new Promise<void>((done) => {
      socket.on("message", (data: Buffer) => {
        const atMs = performance.timeOrigin + performance.now();
        const message = JSON.parse(data.toString()) as { type: string; timestamp?: string };
        if (message.type === "snapshot") {
          resolve({ socket, ended });
        } else if (message.timestamp !== undefined) {
          late(Math.max(0, atMs - new Date(message.timestamp).getTime()));
        } else if (message.type === "end") {
          socket.close();
          done();
        } else if (message.type === "error") {
          reject(new Error(data.toString()));
        }
      });
    });
  });
}
