/**
 * The floor's worker: reads ready tokens, does nothing, settles them in batches of 64.
 *
 * No leases, no look whether the run still runs, no templates, no conditions: what is left is the
 * traffic with Redis that no engine of this kind can do without.
 */
import { connectRedis } from "../../sdk/internal.ts";
import type { RolePart } from "../roles.ts";
import { STEP_OUTPUT } from "../workloads.ts";
import { EV, GROUP, QUEUE, runKey, SEPARATOR, successorsOf, type FloorOptions } from "./names.ts";

const BATCH = 64;
const READ_COUNT = 256;
/** Script calls under way at one time: Redis always has the next one. */
const CALLS_MAX = 4;

interface Token {
  entryId: string;
  runId: string;
  node: number;
}

type StreamReply = [string, [string, string[]][]][] | null;

/** Starts it; `report` is told how many runs have ended. */
export async function floorWorker(
  options: FloorOptions,
  report: (ended: number) => void,
): Promise<RolePart> {
  const commands = connectRedis({ url: options.redisUrl }, "floor:worker");
  const reader = connectRedis({ url: options.redisUrl }, "floor:read");
  const sha = (await commands.script("LOAD", options.script)) as string;
  await commands.xgroup("CREATE", QUEUE, GROUP, "0", "MKSTREAM");
  const plan = successorsOf(options.shape).map((list) => [list.length, ...list.flat()]);
  const output = JSON.stringify(STEP_OUTPUT);
  let ended = 0;
  let stopped = false;

  const settle = async (tokens: Token[]): Promise<void> => {
    const keys = [EV, QUEUE];
    const places = new Map<string, number>();
    const args: (string | number)[] = [tokens.length];
    for (const { entryId, runId, node } of tokens) {
      const place = places.get(runId) ?? keys.push(runKey(runId));
      places.set(runId, place);
      args.push(place, runId, node, entryId, output, ...(plan[node] ?? [0]));
    }
    const count = (await commands.evalsha(sha, keys.length, ...keys, ...args)) as number;
    if (count > 0) {
      ended += count;
      report(ended);
    }
  };

  const loop = async (): Promise<void> => {
    const calls = new Set<Promise<void>>();
    const streams = ["STREAMS", QUEUE, ">"];
    while (!stopped) {
      const read = ["GROUP", GROUP, "w", "COUNT", READ_COUNT, "BLOCK", 100, ...streams];
      const reply = (await reader.call("XREADGROUP", ...read)) as StreamReply;
      const tokens = (reply?.[0]?.[1] ?? []).map(parseToken);
      for (let from = 0; from < tokens.length; from += BATCH) {
        if (calls.size >= CALLS_MAX) {
          await Promise.race(calls);
        }
        const call: Promise<void> = settle(tokens.slice(from, from + BATCH)).finally(() =>
          calls.delete(call),
        );
        calls.add(call);
      }
    }
    await Promise.all(calls);
  };
  const looping = loop();
  return {
    async stop() {
      stopped = true;
      await looping;
      reader.disconnect();
      commands.disconnect();
    },
  };
}

function parseToken([entryId, fields]: [string, string[]]): Token {
  const [runId = "", node = ""] = (fields[1] ?? "").split(SEPARATOR, 2);
  return { entryId, runId, node: Number(node) };
}
