/**
 * The metrics of a process, if it is configured to serve any. Parts count in plain numbers of their
 * own; here, and only when somebody asks, they become text (docs/metrics.md).
 */
import type { Logger } from "pino";
import { systemClock, type Clock } from "../../sdk/internal.ts";
import type { Database } from "../../sdk/postgres/index.ts";
import type { Config } from "../config.ts";
import { packageVersion } from "../version.ts";
import { addGateway, addProcess, addSupervisor, addWorker, QueueNames } from "./collect.ts";
import { HealthLook, type Health } from "./health.ts";
import { Samples } from "./samples.ts";
import { createMetricsServer, type MetricsServer } from "./server.ts";
import type { MetricsText } from "./text.ts";
import type { Watched } from "./watched.ts";

export interface MetricsOptions {
  config: Config;
  logger: Logger;
  db: Database;
  watched: Watched;
  clock?: Clock;
  /** Everything has started, and nothing is being stopped. */
  isRunning: () => boolean;
}

/** Makes the server; null: none is configured. */
export function metricsOf(options: MetricsOptions): MetricsServer | null {
  const { metrics_port: port, metrics_host: host } = options.config.values;
  if (port === null) {
    return null;
  }
  const { watched, db, isRunning, clock = systemClock } = options;
  const health = new HealthLook({ watched, db, clock, isRunning });
  const names = new QueueNames();
  let text: MetricsText | null = null;
  let making: Promise<string> | null = null;
  const make = async (): Promise<string> => {
    const { MetricsText } = await import("./text.ts");
    text ??= new MetricsText();
    return text.of(await samplesOf(watched, db, names, health.look()));
  };
  return createMetricsServer({
    ...{ host: host ?? "127.0.0.1", port, logger: options.logger },
    health: () => health.look(),
    text: async () => {
      // Those who ask meanwhile share the answer.
      making ??= make().finally(() => (making = null));
      const made = await making;
      return { text: made, contentType: text?.contentType ?? "text/plain" };
    },
  });
}

async function samplesOf(
  watched: Watched,
  db: Database,
  names: QueueNames,
  looking: Promise<Health>,
): Promise<Samples> {
  const samples = new Samples();
  const { workers, supervisors, gateways } = watched;
  const asked = Promise.all(supervisors.map((one) => one.facts()));
  const health = await looking;
  const roles = [
    ...(supervisors.length > 0 ? ["supervisor"] : []),
    ...(gateways.length > 0 ? ["gateway"] : []),
    ...(workers.length > 0 ? ["worker"] : []),
  ].join(",");
  samples.add("gavotte_info", 1, { version: packageVersion(), roles });
  samples.add("gavotte_ready", Number(health.isReady));
  for (const store of ["redis", "postgres"] as const) {
    const isUp = health[store];
    void (isUp !== null && samples.add("gavotte_store_up", Number(isUp), { store }));
  }
  addProcess(samples, db.pool);
  workers.forEach((worker) => addWorker(samples, worker.facts()));
  gateways.forEach((gateway) => addGateway(samples, gateway.facts()));
  for (const facts of await asked) {
    void (facts !== null && addSupervisor(samples, facts, names));
  }
  return samples;
}
