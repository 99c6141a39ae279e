/**
 * Says which part of a Redis Cluster has no primary that answers, and when it is there again. What
 * lies there waits meanwhile, by itself and without a word: commands wait for their server.
 */
import {
  addressText,
  clusterOf,
  globalKeys,
  partitionKeys,
  type ClusterTopology,
} from "../sdk/internal.ts";
import type { SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";

const LOOK_MS = 1000;
/** What waits with each key that has no partition. */
const WAITS: readonly (readonly [key: string, what: string])[] = [
  [globalKeys.submissions, "submissions are not taken"],
  [globalKeys.deployment, "supervisors that start certify no server without their scripts"],
  [globalKeys.pausedQueues, "pauses of queues are told by Postgres only"],
];

/** A watch over the cluster of this supervisor; null on a single server. */
export function clusterWatch(context: SupervisorContext): ClusterWatch | null {
  const topology = clusterOf(context.redis);
  return topology === null ? null : new ClusterWatch(context, topology);
}

export class ClusterWatch extends Loop {
  constructor(context: SupervisorContext, topology: ClusterTopology) {
    let told = "";
    super({
      name: "cluster watch",
      logger: context.logger,
      step: async () => {
        await topology.refresh();
        const away = partsAway(topology, context.deployment.partitions);
        const text = JSON.stringify(away);
        if (text !== told && away !== null) {
          context.logger.error(away, "a primary of the Redis Cluster is away; what it has waits");
        } else if (text !== told && told !== "") {
          context.logger.warn("every slot of the Redis Cluster has a primary again");
        }
        told = text;
        return LOOK_MS;
      },
    });
  }
}

/** Nodes that are held for dead, and what waits for them; null while all slots are served. */
function partsAway(topology: ClusterTopology, partitions: number): object | null {
  const isAway = (key: string): boolean => !topology.isServed(key);
  const waiting = Array.from({ length: partitions }, (_, p) => p).filter((p) =>
    isAway(partitionKeys(p).meta),
  );
  const waits = WAITS.flatMap(([key, what]) => (isAway(key) ? [what] : []));
  const nodes = topology.nodes
    .filter(({ isFailed, ranges }) => isFailed && ranges.length > 0)
    .map(({ address }) => addressText(address));
  return nodes.length === 0 && waiting.length === 0 && waits.length === 0
    ? null
    : { nodes, partitions: waiting, waits };
}
