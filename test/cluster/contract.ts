/**
 * The contract part of the suite: what must hold on a Redis Cluster as on a single server. With
 * GAVOTTE_TEST_REDIS=cluster these files run, and no others, on a cluster of three primaries
 * (`npm run test:cluster`); QUICK of them also do in every `npm test`.
 *
 * A file that asks for a Redis is either here or has a reason not to be (contract.test.ts).
 */

/** Whether this run of tests is on a cluster. */
export const isOnCluster = process.env["GAVOTTE_TEST_REDIS"] === "cluster";

/** Files and folders, as vitest's globs. */
export const CONTRACT: readonly string[] = [
  "sdk/redis/**/*.test.ts",
  "sdk/{backlog,client,client-deployment,status}.test.ts",
  "worker/**/*.test.ts",
  "gateway/**/*.test.ts",
  "supervisor/{blobs,block-reader,falling-asleep,hibernate,long-journal,repair-tries}.test.ts",
  "supervisor/{away-told,begun,bindings,children,finalise,intake,ir-store,left-behind}.test.ts",
  "supervisor/{error-pauses,limits,pauses,reaper,refused-rows,release,retention,roles}.test.ts",
  "supervisor/{partition-gauge,set-right,stalled,supervisor,waker,workflows}.test.ts",
  "cmd/{behind,doctor-archive,doctor-away,doctor-foreign,processes,prune,runs-statuses,uncertified}.test.ts",
  "test/{audit,children,e2e,hibernate,operations,property,store}/**/*.test.ts",
  "test/recovery/pure-killed.test.ts",
  "test/{circuits,fairness,metrics,priorities,retries,routing,workers,limits,limits-trees,losers,own-values,pure-functions,run-limits,schemas,submitted-files,time-limits,unserved-queues,waits}.test.ts",
];

/** Each script, and waits through a whole engine: a few seconds. */
export const QUICK: readonly string[] = [
  "sdk/redis/{complete-*,simple-completion,*-scripts}.test.ts",
  "test/waits.test.ts",
];

/** Files that ask for a Redis and are not in the contract, each with the reason. */
export const LEFT_OUT: { readonly [file: string]: string } = {
  "supervisor/archiver.test.ts": "restarts one server that it starts itself",
  "supervisor/certify.test.ts": "forgets the scripts of one server, and what it was certified as",
  "supervisor/full-redis.test.ts": "fills one server that it starts itself, up to its maxmemory",
  "supervisor/late-start.test.ts": "counts the commands of one server, and empties it",
  "supervisor/memory-gauge.test.ts": "says what one server's memory is",
  "supervisor/namespaces.test.ts":
    "holds up a command of one connection; a cluster has one for each slot",
  "supervisor/slow-lane.test.ts": "puts submissions into one server with one MULTI",
  "supervisor/trials.test.ts": "dies with a copy of one server's connection",
  "supervisor/superseded.test.ts": "holds up a command of one connection, and empties one server",
  "test/rest-page.test.ts": "a page's examples; what REST does is in gateway/rest, which is here",
  "test/backpressure.test.ts": "fills one server that it starts itself, up to its maxmemory",
  "test/cluster/lease-thread.test.ts": "starts a cluster of its own, and freezes a node of it",
  "test/cluster/primary-away.test.ts": "starts a cluster of its own, and kills nodes of it",
  "test/recovery/epoch-raised.test.ts": "raises a partition's epoch on one server",
  "cmd/killed-run.test.ts": "empties one server beneath a command that is killed",
  "test/guards/hot-path.test.ts": "counts the commands of one server that it starts itself",
  "test/guards/submissions.test.ts": "counts the bytes that reach one server that it starts itself",
  "test/recovery/blocked-loop.test.ts":
    "waits for the lease thread in CLIENT LIST; on a cluster that connects at first need, and " +
    "test/cluster/lease-thread.test.ts says that it does",
  "test/sdk-page.test.ts": "plays what a page shows; the calls are those of sdk/client.test.ts",
  "test/support/services.test.ts": "is about the logical databases of a single server",
};
