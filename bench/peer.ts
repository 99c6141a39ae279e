/**
 * Peers: other engines on the same workloads, on the same Redis server, in a folder and with
 * packages of their own, so that the product depends on none of them.
 *
 * A peer is a program of its own that is told what to do by messages; see peers/bullmq/bench.mjs.
 */
import { execFileSync, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BenchOptions, Peer } from "./options.ts";
import { figure, type FigureRow, type ThroughputRow } from "./rows.ts";
import { PEER_DATABASE, type Services } from "./services.ts";
import { percentiles, round, startUsage } from "./usage.ts";
import { STEP_OUTPUT, type Shape } from "./workloads.ts";

interface PeerMessage {
  ready?: { worker: number };
  done?: { seconds: number };
  latencies?: number[];
}

/** Installs a peer's packages into its folder, once; false, and told, if that fails. */
export function preparePeer(name: Peer): boolean {
  const dir = fileURLToPath(new URL(`peers/${name}/`, import.meta.url));
  if (existsSync(`${dir}node_modules`)) {
    return true;
  }
  const args = ["install", "--prefix", dir, "--no-package-lock", "--no-audit", "--no-fund"];
  try {
    execFileSync("npm", args, { stdio: ["ignore", "ignore", "inherit"] });
    return true;
  } catch (error) {
    console.error(error);
    return false;
  }
}

/** Whether a peer can run a workload: its engine row's steps have no hop in between there either. */
export function takesShape(name: Peer, { name: workload }: Shape): boolean {
  return name === "bullmq" || ["chain10", "diamond"].includes(workload);
}

interface Started {
  worker: number;
  producer: number;
  run(command: object): Promise<PeerMessage>;
  stop(): Promise<void>;
}

async function start(services: Services, name: Peer): Promise<Started> {
  const path = fileURLToPath(new URL(`peers/${name}/bench.mjs`, import.meta.url));
  const redis = { path: services.redisSocket, db: PEER_DATABASE };
  const databaseUrl = await services.databaseOf(name);
  const settings = { ...redis, databaseUrl, output: STEP_OUTPUT };
  const child = fork(path, [JSON.stringify(settings)], { execArgv: [] });
  const failed = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`the peer "${name}" ended with ${code}`)));
  });
  failed.catch(() => undefined);
  const answer = (): Promise<PeerMessage> => {
    const message = new Promise<PeerMessage>((done) =>
      child.once("message", (value: PeerMessage) => done(value)),
    );
    return Promise.race([message, failed]);
  };
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  const { ready } = await answer();
  return {
    worker: ready?.worker ?? 0,
    producer: child.pid ?? 0,
    run(command) {
      const answered = answer();
      child.send(command);
      return answered;
    },
    async stop() {
      if (child.connected) {
        child.send({ stop: true }, () => undefined);
      }
      await gone;
    },
  };
}

/** One round of a peer on one workload, after a first one that is not counted. */
export async function runPeer(
  services: Services,
  name: Peer,
  shape: Shape,
  options: { runs: number; round: number },
): Promise<ThroughputRow> {
  const peer = await start(services, name);
  try {
    await peer.run({ shape, runs: options.runs });
    const stop = await startUsage(services.redis, {
      worker: peer.worker,
      submitter: peer.producer,
      ...{ redis: services.pids.redis, postgres: services.pids.postgres },
    });
    const { done } = await peer.run({ shape, runs: options.runs });
    const usage = await stop();
    const steps = options.runs * shape.steps;
    return {
      kind: "throughput",
      system: name,
      workload: shape.name,
      round: options.round,
      runs: options.runs,
      steps,
      stepsPerSecond: round(steps / (done?.seconds ?? Infinity), 0),
      durableStepsPerSecond: null,
      acceptedPerSecond: null,
      usage,
    };
  } finally {
    await peer.stop();
  }
}

/** One step alone on a peer: added to completed. */
export async function runPeerLatency(
  services: Services,
  name: Peer,
  options: BenchOptions,
): Promise<FigureRow[]> {
  const peer = await start(services, name);
  try {
    const { latencies = [] } = await peer.run({ latency: options.quick ? 100 : 500 });
    const { p50, p99 } = percentiles(latencies);
    const row = (what: string, value: number): FigureRow =>
      figure(`${name}: one step, added to completed, ${what}`, value, "ms");
    return [row("p50", p50), row("p99", p99)];
  } finally {
    await peer.stop();
  }
}
