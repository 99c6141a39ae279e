/** The sdk's face for the engine's own parts; users import sdk/index.ts. */
export {
  BACKLOG_BYTES_HARD,
  BACKLOG_BYTES_SOFT,
  backlogBytes,
  sharedBacklogBytes,
} from "./backlog.ts";
export * from "./audit/index.ts";
export * from "./blobs.ts";
export * from "./chain.ts";
export { errorIn } from "./client-report.ts";
export * from "./define-function.ts";
export * from "./durations.ts";
export * from "./entry.ts";
export * from "./errors.ts";
export { meantRef, unknownQueue, unknownWorkflow } from "./known-targets.ts";
export * from "./fold.ts";
export * from "./node-views.ts";
export * from "./run-outcome.ts";
export * from "./hot-map.ts";
export * from "./hot-signals.ts";
export * from "./hot-fields.ts";
export * from "./hot-restore.ts";
export * from "./hot-state.ts";
export type { HotJoin } from "./hot-joins.ts";
export type { HotTimer, HotToken } from "./hot-tokens.ts";
export * from "./journal.ts";
export * from "./keys.ts";
export { NAMESPACE_SHAPE, namespaceNamed } from "./namespace-name.ts";
export * from "./needs.ts";
export * from "./node-vars.ts";
export * from "./plan.ts";
export * from "./profile.ts";
export * from "./recent.ts";
export * from "./run-data.ts";
export * from "./redis/child-scripts.ts";
export * from "./redis/complete-tokens.ts";
export type { Redis } from "ioredis";
export * from "./redis/cluster-nodes.ts";
export { clusterOf, connectionAt, isOfCluster } from "./redis/cluster-router.ts";
export { addressText, isClusterUrl, type NodeAddress } from "./redis/cluster-url.ts";
export * from "./redis/connect.ts";
export type { ClusterTopology } from "./redis/topology.ts";
export * from "./redis/intervene.ts";
export * from "./redis/lease-scripts.ts";
export * from "./redis/map-scripts.ts";
export * from "./redis/pause-scripts.ts";
export * from "./redis/intake-scripts.ts";
export * from "./redis/circuit-scripts.ts";
export * from "./redis/rate-scripts.ts";
export * from "./redis/under-way.ts";
export * from "./redis/orphan-script.ts";
export * from "./redis/redrive-script.ts";
export * from "./redis/foreign-keys.ts";
export * from "./redis/run-scripts.ts";
export * from "./redrive.ts";
export * from "./redrive-filter.ts";
export * from "./staged-blobs.ts";
export * from "./start-state.ts";
export * from "./redis/script-counts.ts";
export * from "./redis/script-runner.ts";
export * from "./redis/sleep-scripts.ts";
export {
  createGroups,
  isFull,
  publishIr,
  writeAnyway,
  writeGuarded,
  type Command,
  type Guard,
} from "./redis/write-anyway.ts";
export * from "./redis/scripts.gen.ts";
export * from "./redis/wait-scripts.ts";
export * from "./schema-check.ts";
export * from "./given.ts";
export * from "./guarded-thread.ts";
export * from "./run-namespaces.ts";
export * from "./run-output.ts";
export * from "./scope.ts";
export * from "./status.ts";
export * from "./thread.ts";
export { Trouble } from "./trouble.ts";
export * from "./unit.ts";
export * from "./waits.ts";
export * from "./clock.ts";
export * from "./service.ts";
export * from "./shown-url.ts";
export * from "./told-error.ts";
export * from "./feed-address.ts";
export * from "./in-time.ts";
export * from "./long-timer.ts";
