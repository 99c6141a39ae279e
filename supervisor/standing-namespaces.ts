/**
 * Namespaces that workers of their own serve (`worker --namespace blue`); not those of one
 * `gavotte run`, which go with it (namespaces.ts).
 *
 * Nobody makes one: it is there as soon as a run or a worker names it. So whoever starts a run writes
 * its namespace down in Redis, and workers say in the registry what they read. Nothing rests on the
 * list but tidying up and metrics: when it is lost, the next start brings a name back.
 */
import { connectionAt, globalKeys, isRunNamespace } from "../sdk/internal.ts";
import { listWorkers } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";

/** Names that the list keeps, those used last. */
export const NAMESPACES_MAX = 1000;
/** How often one that is used all the time is written down by a process. */
const NOTED_MS = 60_000;
const NAMESPACE = /^ns:[^:]+:/;

type Context = Pick<SupervisorContext, "redis" | "clock">;
type Stores = Pick<SupervisorContext, "redis" | "db">;

/** When each was written down last, monotonic ms. */
const noted = new WeakMap<Context, Map<string, number>>();

/** Writes down the namespaces of runs that are started. Not waited for, and nothing fails by it. */
export function noteNamespaces(context: Context, namespaces: Iterable<string>): void {
  const { redis, clock } = context;
  const last = noted.get(context) ?? new Map<string, number>();
  noted.set(context, last);
  const nowMs = clock.monotonicMs();
  const due = [...new Set(namespaces)].filter((one) => {
    return one !== "" && !isRunNamespace(one) && nowMs - (last.get(one) ?? -Infinity) >= NOTED_MS;
  });
  if (due.length === 0) {
    return;
  }
  if (last.size > NAMESPACES_MAX) {
    last.clear();
  }
  due.forEach((one) => last.set(one, nowMs));
  const key = globalKeys.namespaces;
  const pipeline = connectionAt(redis, key).pipeline();
  pipeline.zadd(key, ...due.flatMap((one) => [clock.nowMs(), one]));
  pipeline.zremrangebyrank(key, 0, -NAMESPACES_MAX - 1);
  const forget = (): void => due.forEach((one) => last.delete(one));
  pipeline.exec().then((replies) => {
    void (replies?.some(([error]) => error !== null) === true && forget());
  }, forget);
}

/** Those that were written down, the one used last first; at most `count`. */
export function listNamespaceNames(
  { redis }: Pick<Context, "redis">,
  count: number,
): Promise<string[]> {
  return connectionAt(redis, globalKeys.namespaces).zrevrange(globalKeys.namespaces, 0, count - 1);
}

/** Names of the queues that workers read, their namespaces included; not those of a `gavotte run`. */
export async function servedQueues({ db }: Pick<Stores, "db">): Promise<string[]> {
  const names = (await listWorkers(db)).flatMap(({ queues }) => queues);
  return names.filter((name) => !isRunNamespace(namespaceOf(name)));
}

/** The namespace of a queue's name; "": it has none. */
export function namespaceOf(queue: string): string {
  return NAMESPACE.exec(queue)?.[0] ?? "";
}
