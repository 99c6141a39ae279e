/**
 * What a command asks of partitions whose server may be away: on a Redis Cluster a question waits for
 * its server as long as it takes, which is right for a service and wrong for who looks what is wrong.
 */
import { clusterOf, partitionKeys, type Redis } from "../sdk/internal.ts";
import type { Check } from "./doctor-checks.ts";

const LOOK_MS = 1000;

/** What `work` on a partition gives; null: its primary does not answer, or ceased to meanwhile. */
export async function whereServed<T>(
  redis: Redis,
  partition: number,
  work: () => Promise<T>,
): Promise<T | null> {
  const topology = clusterOf(redis);
  if (topology === null) {
    return work();
  }
  const { meta } = partitionKeys(partition);
  await topology.refresh();
  if (!(await topology.answers(meta))) {
    return null;
  }
  let timer: NodeJS.Timeout | undefined;
  const away = new Promise<null>((resolve) => {
    const look = (): void => void topology.answers(meta).then((yes) => yes || resolve(null));
    timer = setInterval(look, LOOK_MS);
  });
  const working = work();
  working.catch(() => undefined); // when its server is away nobody waits for it
  return Promise.race([working, away]).finally(() => clearInterval(timer));
}

/** Says which partitions were left out of a check; nothing if none was. */
export function leftOut(name: string, partitions: readonly number[], what: string): Check[] {
  return partitions.length === 0
    ? []
    : [
        {
          name,
          state: "bad",
          text:
            `${what} in partition(s) ${partitions.join(", ")}: their primary in the Redis Cluster ` +
            "does not answer; start it, or have a replica promoted, and look again",
        },
      ];
}
