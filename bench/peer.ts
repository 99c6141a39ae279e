/**
 * Peers: other engines on the same workloads, on the same Redis server, in a folder and with
 * packages of their own, so that the product depends on none of them.
 *
 * A peer is a program of its own that prints one JSON document; see peers/bullmq/bench.mjs.
 */
import { execFileSync, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BenchOptions } from "./options.ts";
import type { FigureRow, ThroughputRow } from "./rows.ts";
import { PEER_DATABASE, type Services } from "./services.ts";
import { percentiles, round, startUsage } from "./usage.ts";
import { STEP_OUTPUT, type Shape } from "./workloads.ts";

interface PeerMessage {
  ready?: { worker: number };
  done?: { seconds: number };
  latencies?: number[];
}

/** Installs a peer's packages into its folder, once. */
export function preparePeer(name: string): void {
  const dir = fileURLToPath(new URL(`peers/${name}/`, import.meta.url));
  if (!existsSync(`${dir}node_modules`)) {
    const args = ["install", "--prefix", dir, "--no-package-lock", "--no-audit", "--no-fund"];
    execFileSync("npm", args, { stdio: ["ignore", "ignore", "inherit"] });
  }
}

interface Started {
  worker: number;
  producer: number;
  run(command: object): Promise<PeerMessage>;
  stop(): Promise<void>;
}

async function start(services: Services, name: string): Promise<Started> {
  const path = fileURLToPath(new URL(`peers/${name}/bench.mjs`, import.meta.url));
  const settings = { path: services.redisSocket, db: PEER_DATABASE, output: STEP_OUTPUT };
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

/** One round of a peer on one workload. */
export async function runPeer(
  services: Services,
  name: string,
  shape: Shape,
  options: { runs: number; round: number },
): Promise<ThroughputRow> {
  const peer = await start(services, name);
  try {
    await peer.run({ shape, runs: Math.ceil(options.runs / 20) });
    const stop = await startUsage(services.redis, {
      worker: peer.worker,
      submitter: peer.producer,
      redis: services.pids.redis,
    });
    const { done } = await peer.run({ shape, runs: options.runs });
    const usage = await stop();
    const steps = options.runs * shape.steps;
    return {
      kind: "throughput",
      system: name as "bullmq",
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
  name: string,
  options: BenchOptions,
): Promise<FigureRow[]> {
  const peer = await start(services, name);
  try {
    const { latencies = [] } = await peer.run({ latency: options.quick ? 100 : 500 });
    const { p50, p99 } = percentiles(latencies);
    const row = (what: string, value: number): FigureRow => {
      const title = `${name}: one step, added to completed, ${what}`;
      return { kind: "figure", name: title, value, unit: "ms", budget: null };
    };
    return [row("p50", p50), row("p99", p99)];
  } finally {
    await peer.stop();
  }
}
