/** Where the entry of an active token stands, who has it, and whether that one still lives. */
import type { Redis } from "ioredis";
import { nearestName } from "../../condition/suggest.ts";
import {
  connectionAt,
  globalKeys,
  GROUP,
  isRunNamespace,
  parseQueueKey,
  standingFor,
  type OpenToken,
  type StandingEntry,
} from "../../sdk/internal.ts";
import type { Snapshot } from "../audit/snapshot-reader.ts";
import type { WorkerRow } from "../../sdk/postgres/index.ts";
import type { Reason } from "../explain.ts";
import { megabytes } from "./memory.ts";

const PAGE = 1000;
const PAGES_MAX = 20;
/** A consumer that reads asks at least once a second; one that executes renews its leases. */
const CONSUMER_SILENT_MS = 60_000;
export const LEASE_MS = 30_000;

export interface PlaceContext {
  redis: Redis;
  partition: number;
  snapshot: Snapshot;
  /** The partition's lease, ms: after so long of silence another worker takes over. */
  leaseMs: number;
  /** Workers of which Postgres knows that they live; one may live of which it does not. */
  workers: readonly Pick<WorkerRow, "id" | "queues" | "concurrency" | "inFlight">[];
  /** What the journal takes that waits to be archived, and how much it may before nobody reads. */
  backlog: { bytes: number; bytesMax: number };
  /** As of the partition's server. */
  nowMs: number;
}

/** A token and the entry that tells most about where it is. */
export interface PlacedToken {
  token: OpenToken;
  entry: StandingEntry | undefined;
  /** It is active, and nobody holds its entry. */
  isLost: boolean;
}

/** Whether an entry has to stand for a token. */
export function isActive({ record }: OpenToken): boolean {
  return "akg".includes(record.state);
}

/** Finds the entry of each active token. */
export function placeTokens(snapshot: Snapshot, tokens: readonly OpenToken[]): PlacedToken[] {
  const byUnit = new Map<string, StandingEntry[]>();
  for (const entry of snapshot.entries) {
    const own = byUnit.get(entry.token.unit) ?? [];
    byUnit.set(entry.token.unit, own);
    own.push(entry);
  }
  return tokens.map((token): PlacedToken => {
    if (!isActive(token)) {
      return { token, entry: undefined, isLost: false };
    }
    const entries = byUnit.get(token.unit) ?? [];
    const found = standingFor({ units: snapshot.units, entries }, token);
    const entry =
      found.find(({ state }) => state === "pending") ??
      found.find(({ state }) => state !== "lost") ??
      found[0];
    const isLost = entry === undefined ? snapshot.isWhole : entry.state === "lost";
    return { token, entry, isLost };
  });
}

type Body = Reason extends infer R
  ? R extends unknown
    ? Omit<R, "node" | "scope">
    : never
  : never;

/** Why an active token has not ended yet. */
export async function explainEntry(
  context: PlaceContext,
  token: OpenToken,
  entry: StandingEntry | undefined,
): Promise<Body> {
  const queue = token.ir.queues[token.node.queue] ?? "?";
  if (entry === undefined && !context.snapshot.isWhole) {
    const ahead = PAGES_MAX * PAGE;
    const text = `not among the first ${ahead} entries of ${queue}: it stands behind these`;
    return { kind: "queued", queue, ahead, text };
  }
  if (entry === undefined || entry.state === "lost") {
    return lost(token, queue, entry?.token.queueKey, entry?.token.entryId ?? null);
  }
  const { queueKey, entryId } = entry.token;
  // Not always the node's own: what executes nothing stands where every worker reads.
  const standsIn = parseQueueKey(queueKey)?.queue ?? queue;
  if (entry.state === "held") {
    return { kind: "held", text: "ready, and held until the run is resumed" };
  }
  if (entry.state === "pending") {
    const first = entry.token.node === token.index ? null : token.ir.nodes[entry.token.node]?.id;
    return executing(context, standsIn, queueKey, entryId, first ?? null);
  }
  return queued(context, standsIn, queueKey, entryId);
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
  { redis, workers, backlog }: PlaceContext,
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
  if (backlog.bytes > backlog.bytesMax) {
    const { bytes, bytesMax } = backlog;
    const text =
      `queued in ${queue}: workers read no queue while the journal takes ${megabytes(bytes)} in ` +
      `Redis, more than ${megabytes(bytesMax)}; does a supervisor archive it into Postgres?`;
    return { kind: "archive_behind", queue, bytes, bytesMax, text };
  }
  const readers = workers.filter(({ queues }) => queues.includes(name));
  // One that is busy reads nothing: of what it reads only the list of workers tells.
  const idle = [...(await consumersOf(redis, queueKey)).values()];
  if (readers.length === 0 && !idle.some((ms) => ms < CONSUMER_SILENT_MS)) {
    return {
      kind: "no_worker",
      queue,
      text: noWorkerText(queue, parsed?.namespace ?? "", workers),
    };
  }
  const { ahead, isAll } = await countAhead(redis, queueKey, entryId);
  const place =
    ahead === 0 ? ", the next to be read" : ` behind ${isAll ? "" : "more than "}${ahead} entries`;
  const text = `queued in ${queue}${place}`;
  if (readers.length === 0 || readers.some((worker) => worker.inFlight < worker.concurrency)) {
    return { kind: "queued", queue, ahead, text };
  }
  const busy = readers.map(({ id, inFlight }) => `${id} (${inFlight} under way)`).join(", ");
  const ids = readers.map(({ id }) => id);
  const full = `every worker that reads it has as much as it takes: ${busy}`;
  return { kind: "saturated", queue, ahead, workers: ids, text: `${text}; ${full}` };
}

/** Who should read a queue, and does not. */
function noWorkerText(queue: string, namespace: string, workers: PlaceContext["workers"]): string {
  const nobody = `queued in ${namespace}${queue}: no worker reads it`;
  if (isRunNamespace(namespace)) {
    const whose = 'only the "gavotte run" that made it does';
    return `${nobody}; ${whose}, and a supervisor gives it to all workers when that is gone`;
  }
  const [, name] = /^ns:(.+):$/.exec(namespace) ?? [];
  const where = name === undefined ? "" : ` --namespace ${name}`;
  if (!queue.startsWith("fn:")) {
    const which = queue.startsWith("kind:") ? "" : ` --queue ${queue}`;
    return `${nobody}; start one ("gavotte worker${where}${which}")`;
  }
  const served = workers.flatMap(({ queues }) => queues.filter((one) => one.startsWith(namespace)));
  const near = nearestName(queue, new Set(served.map((one) => one.slice(namespace.length))));
  const meant = near === undefined ? "define" : `${near} is read: did you mean that? Else define`;
  return `${nobody}; ${meant} it for one ("gavotte worker${where} --functions FILE")`;
}

/** How many entries stand before one; not all of them, if they are very many. */
async function countAhead(
  redis: Redis,
  queueKey: string,
  entryId: string,
): Promise<{ ahead: number; isAll: boolean }> {
  let ahead = 0;
  let from = "-";
  for (let page = 0; page < PAGES_MAX; page++) {
    const entries = await redis.xrange(queueKey, from, `(${entryId}`, "COUNT", PAGE);
    ahead += entries.length;
    if (entries.length < PAGE) {
      return { ahead, isAll: true };
    }
    from = `(${entries.at(-1)?.[0] ?? "-"}`;
  }
  return { ahead, isAll: false };
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
