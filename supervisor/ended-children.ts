/**
 * Children that have ended while the token that started them has yet to read how: put back into
 * Redis as what is left of them, status and result, after their parent was rebuilt.
 *
 * Releasing them (scripts/release_runs.lua) wakes a parent that still waits, and keeps them until
 * it has read the result.
 */
import { connectionAt, isTerminal, partitionKeys, type HotState } from "../sdk/internal.ts";
import { runsById, type RunRow } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import { writeWhile, type Write } from "./guarded.ts";
import { CommandList } from "./writer.ts";

/** Ids of the children that a run's tokens wait for, or have waited for and not settled since. */
export function childrenAwaited(state: HotState): string[] {
  const elements = [...state.maps.values()].flatMap((map) => [...map.elements.values()]);
  const inMaps = elements.flatMap((element) => childrenAwaited(element));
  const own = [...state.tokens.values()].flatMap((token) => {
    const { wait, answer } = token;
    if (token.state === "w" && wait?.kind === "child" && wait.run !== undefined) {
      return [wait.run];
    }
    return token.state === "a" && answer?.kind === "child" ? [answer.run] : [];
  });
  return [...own, ...inMaps];
}

/** Puts back those of these children that have ended; returns which. */
export async function putBackEnded(
  context: SupervisorContext,
  partition: number,
  ids: readonly string[],
  write: Write = writeWhile(connectionAt(context.redis, partitionKeys(partition).meta)),
): Promise<string[]> {
  const rows = await runsById(context.db, ids);
  const keys = partitionKeys(partition);
  const list = new CommandList();
  const ended = rows.filter((row) => isTerminal(row.status) && row.parent !== null);
  for (const row of ended) {
    list.del(keys.run(row.id));
    list.hset(keys.run(row.id), fieldsOf(row));
    list.zadd(keys.release, 0, row.id);
  }
  await write(list.commands);
  return ended.map(({ id }) => id);
}

function fieldsOf(row: RunRow): { [field: string]: string } {
  const error = row.error ?? '{"code":"HANDLER_ERROR","message":"the run failed"}';
  return {
    s: row.status.toLowerCase(),
    e: String(row.epoch),
    ir: row.irHash,
    up: row.parent ?? "",
    dep: String(row.depth),
    res: row.status === "COMPLETED" ? (row.output ?? "null") : `{"error":${error}}`,
  };
}
