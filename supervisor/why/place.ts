/** Where the entry of an active token stands, who has it, and whether that one still lives. */
import type { Redis } from "ioredis";
import {
  connectionAt,
  globalKeys,
  GROUP,
  parseQueueKey,
  standingFor,
  type OpenToken,
  type RunSnapshot,
} from "../../sdk/internal.ts";
import type { Reason } from "../explain.ts";

const PAGE = 1000;
const PAGES_MAX = 20;
/** A consumer that reads asks at least once a second; one that executes renews its leases. */
const CONSUMER_SILENT_MS = 60_000;
export const LEASE_MS = 30_000;

export interface PlaceContext {
  redis: Redis;
  snapshot: RunSnapshot;
  /** The partition's lease, ms: after so long of silence another worker takes over. */
  leaseMs: number;
  /** Queues that a living worker reads, if known: names without namespace. */
  served: ReadonlySet<string> | undefined;
}

type Body = Reason extends infer R
  ? R extends unknown
    ? Omit<R, "node" | "scope">
    : never
  : never;

/** Why an active token has not ended yet. */
export async function explainEntry(context: PlaceContext, token: OpenToken): Promise<Body> {
  const { snapshot } = context;
  const found = standingFor(snapshot, token);
  const best =
    found.find(({ state }) => state === "pending") ??
    found.find(({ state }) => state !== "lost") ??
    found[0];
  const queue = token.ir.queues[token.node.queue] ?? "?";
  if (best === undefined || best.state === "lost") {
    return lost(token, queue, best?.token.queueKey, best?.token.entryId ?? null);
  }
  const { queueKey, entryId } = best.token;
  if (best.state === "held") {
    return { kind: "held", text: "ready, and held until the run is resumed" };
  }
  if (best.state === "pending") {
    const first = best.token.node === token.index ? null : token.ir.nodes[best.token.node]?.id;
    return executing(context, queue, queueKey, entryId, first ?? null);
  }
  return queued(context, queue, queueKey, entryId);
}

function lost(
  token: OpenToken,
  queue: string,
  standsIn: string | undefined,
  entryId: string | null,
): Body {
  const { unit: runId, hash, index: node, record } = token;
  const text = `lost entry: its token is active but nobody holds it (${queue})`;
  const at = { runId, epoch: hash["e"] ?? "", node, irHash: hash["ir"] ?? "", record };
  return { kind: "lost_entry", queue, entryId, token: { queueKey: standsIn ?? "", ...at }, text };
}

/** Who executes it, since when at most, and whether there is a sign of life of them. */
async function executing(
  { redis, leaseMs }: PlaceContext,
  queue: string,
  queueKey: string,
  entryId: string,
  chainFrom: string | null,
): Promise<Body> {
  const pending = (await redis.xpending(queueKey, GROUP, entryId, entryId, 1)) as Pending[];
  const [[, consumer, idleMs, deliveries] = ["", "?", 0, 1]] = pending;
  const consumers = await consumersOf(redis, queueKey);
  const seenMs = Math.min(idleMs, consumers.get(consumer) ?? idleMs);
  const isSilent = seenMs > (leaseMs * 2) / 3;
  const nowMs = Number((await connectionAt(redis, queueKey).time())[0]) * 1000;
  const forMs = Math.max(0, nowMs - Number(entryId.split("-")[0]));
  const chain = chainFrom === null ? "" : `, in a chain that began at ${chainFrom}`;
  const again = deliveries > 1 ? `, delivery ${deliveries}` : "";
  const takeoverMs = isSilent ? Math.max(0, leaseMs - idleMs) : null;
  const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
  const when = takeoverMs === 0 ? "any moment" : `${seconds(takeoverMs ?? 0)}`;
  const text = isSilent
    ? `its worker ${consumer} has been silent for ${seconds(seenMs)}; taken over in ${when}` +
      `, if a worker reads ${queue}${chain}${again}`
    : `executing on ${consumer} for ${seconds(forMs)}${chain}${again}`;
  return {
    kind: "executing",
    queue,
    consumer,
    forMs,
    deliveries,
    isSilent,
    takeoverMs,
    chainFrom,
    text,
  };
}

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number];

async function queued(
  { redis, served }: PlaceContext,
  queue: string,
  queueKey: string,
  entryId: string,
): Promise<Body> {
  const parsed = parseQueueKey(queueKey);
  const name = `${parsed?.namespace ?? ""}${parsed?.queue ?? queue}`;
  if ((await redis.sismember(globalKeys.pausedQueues, name)) === 1) {
    const text = `queued in ${queue}, which is paused ("gavotte resume --queue ${name}")`;
    return { kind: "queue_paused", queue, text };
  }
  const idle = [...(await consumersOf(redis, queueKey)).values()];
  const isServed = served?.has(queue) ?? idle.some((ms) => ms < CONSUMER_SILENT_MS);
  if (!isServed) {
    return { kind: "no_worker", queue, text: `queued in ${queue}: no worker reads it` };
  }
  let ahead = 0;
  let from = "-";
  for (let page = 0; page < PAGES_MAX; page++) {
    const entries = await redis.xrange(queueKey, from, `(${entryId}`, "COUNT", PAGE);
    ahead += entries.length;
    if (entries.length < PAGE) {
      return { kind: "queued", queue, ahead, text: `queued in ${queue} behind ${ahead} entries` };
    }
    from = `(${entries.at(-1)?.[0] ?? "-"}`;
  }
  const text = `queued in ${queue} behind more than ${ahead} entries`;
  return { kind: "queued", queue, ahead, text };
}

/** Ms since each consumer of a queue was heard of. */
async function consumersOf(redis: Redis, queueKey: string): Promise<Map<string, number>> {
  const list = await redis.xinfo("CONSUMERS", queueKey, GROUP).catch(() => []);
  return new Map(
    (list as unknown[][]).map((flat) => {
      const at = (name: string): unknown => flat[flat.indexOf(name) + 1];
      return [String(at("name")), Number(at("idle"))];
    }),
  );
}
