/**
 * What there is to read of a run, by name: it follows from the run's own hashes and nothing else, in a
 * fixed order. So two readings that lead to the same names have missed nothing between them.
 */
import type { Ir } from "../../compiler/ir.ts";
import {
  commonQueueKey,
  finishPrefix,
  parseWait,
  partitionKeys,
  PRIORITIES,
  type Hash,
} from "../../sdk/internal.ts";

export interface Names {
  maps: string[];
  elements: string[];
  timers: string[];
  children: string[];
}

/** Every name that these units lead to, in a fixed order. */
export function namesOf(
  runId: string,
  units: ReadonlyMap<string, Hash>,
  queues: readonly string[],
): Names {
  const maps = [...units.keys()].filter((name) => name !== runId && !/#\d+$/.test(name));
  const timers = new Set<string>();
  const children = new Set<string>();
  for (const [unit, hash] of units) {
    for (const [field, value] of Object.entries(hash)) {
      if (/^d\d+$/.test(field) && hash["by"] === undefined) {
        timers.add(value);
      } else if (/^w\d+$/.test(field)) {
        const wait = parseWait(value)?.wait;
        const isChild = wait?.kind === "child" && wait.run !== undefined;
        void (isChild && children.add(wait.run as string));
      }
    }
    if (hash["s"] === "finishing") {
      const epoch = hash["e"] ?? "";
      queues.forEach((queue) => timers.add(`${finishPrefix(unit, epoch)}|||${queue}`));
    }
  }
  timers.add(`run|${runId}|${units.get(runId)?.["e"] ?? ""}||||`);
  return {
    maps: maps.sort(),
    elements: livingElements(units).sort(),
    timers: [...timers].sort(),
    children: [...children].sort(),
  };
}

/** Elements that have begun and have no result. */
export function livingElements(units: ReadonlyMap<string, Hash>): string[] {
  return [...units].flatMap(([name, hash]) => {
    const next = hash["by"] === undefined ? 0 : Number(hash["next"] ?? 0);
    const indexes = Array.from({ length: next }, (_, i) => i);
    const living = indexes.filter((i) => {
      return hash[`r${i}`] === undefined && hash[`e${i}`] === undefined;
    });
    return living.map((i) => `${name}#${i}`);
  });
}

/** Streams in which tokens of a workflow may stand, the bodies of its maps included. */
export function streamsOf(ir: Ir | null, partition: number, place: string): string[] {
  const keys = partitionKeys(partition);
  const [namespace = "", priority] = place.split("|");
  const level = PRIORITIES.find((known) => known === priority) ?? "normal";
  const own = queuesOf(ir).flatMap((queue) => {
    const name = namespace + queue;
    return [keys.queue(name, level), keys.entryQueue(name, level)];
  });
  const common = commonQueueKey(keys.queue(`${namespace}x`, level));
  return [...new Set([...own, common])];
}

function queuesOf(ir: Ir | null): string[] {
  const bodies = (ir?.nodes ?? []).flatMap(({ body }) => (body === undefined ? [] : [body]));
  return [...(ir?.queues ?? []), ...bodies.flatMap((body) => queuesOf(body))];
}
