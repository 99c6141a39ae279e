/**
 * Workflows of runs that have begun, put where workers look for them first. A worker that finds none,
 * or no answer, asks Postgres: so on a cluster a server that is away is not waited for.
 */
import { inTime, isOfCluster, publishIr } from "../sdk/internal.ts";
import type { SupervisorContext } from "./context.ts";
import type { StoredIr } from "./ir-store.ts";

const SERVER_MS = 1000;

type Workflow = Pick<StoredIr, "hash" | "text">;

/** Hashes that wait for a server which is away: none is sent to it twice. */
const late = new WeakMap<SupervisorContext, Set<string>>();

/** Resolves when they are there, or are not to be waited for. */
export async function publishIrs(
  context: SupervisorContext,
  workflows: Iterable<Workflow>,
): Promise<void> {
  await Promise.all([...workflows].map((one) => publish(context, one)));
}

async function publish(context: SupervisorContext, workflow: Workflow): Promise<void> {
  const { redis, clock } = context;
  const waiting = late.get(context) ?? new Set<string>();
  late.set(context, waiting);
  if (waiting.has(workflow.hash)) {
    return;
  }
  const done = publishIr(redis, workflow, clock.nowMs()).then(() => true);
  if (!isOfCluster(redis) || (await inTime(done, SERVER_MS, false))) {
    await done;
    return;
  }
  waiting.add(workflow.hash);
  done.catch(() => false).finally(() => waiting.delete(workflow.hash));
}
