/** The port that metrics are served on: off unless asked for, and honest while stores are away. */
import { createServer, type AddressInfo } from "node:net";
import { pino } from "pino";
import { afterEach, expect, it } from "vitest";
import { connectRedis, errorCode, systemClock } from "../../sdk/internal.ts";
import { connectPostgres, type Database } from "../../sdk/postgres/index.ts";
import { SupervisorCounts } from "../../supervisor/counts.ts";
import { LoadGauge } from "../../supervisor/load-gauge.ts";
import type { SupervisorContext } from "../../supervisor/context.ts";
import { resolveConfig, type Config } from "../config.ts";
import { metricsOf } from "./index.ts";
import type { MetricsServer } from "./server.ts";
import { nobodyWatched, type Watched } from "./watched.ts";

const logger = pino({ level: "silent" });
const ends: (() => Promise<unknown>)[] = [];
afterEach(() => Promise.all(ends.splice(0).map((end) => end())));

const configOf = (env: { [name: string]: string }): Promise<Config> =>
  resolveConfig({ cwd: "/", env });

async function serve(watched: Watched, db: Database, port = "0"): Promise<MetricsServer> {
  const config = await configOf({ GAVOTTE_METRICS_PORT: port });
  const server = metricsOf({ config, logger, db, watched, isRunning: () => true });
  if (server === null) {
    throw new Error("none is configured");
  }
  ends.push(() => server.stop(0));
  await server.start();
  return server;
}

/** Of a server that nobody has started. */
function awayDatabase(): Database {
  const db = connectPostgres({ url: "postgres://nobody@127.0.0.1:1/none" });
  ends.push(() => db.close());
  return db;
}

it("is off by default, and an address that Kubernetes makes of a service is no port", async () => {
  const env = { GAVOTTE_METRICS_PORT: "tcp://10.0.0.1:9090" };
  for (const config of [await configOf({}), await configOf(env)]) {
    const parts = { config, logger, db: awayDatabase(), watched: nobodyWatched() };
    expect(metricsOf({ ...parts, isRunning: () => true })).toBeNull();
  }
});

it("a port that is taken is told with the options to change", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  ends.push(() => new Promise((resolve) => other.close(resolve)));
  const { port } = other.address() as AddressInfo;
  const refused = await serve(nobodyWatched(), awayDatabase(), `${port}`).catch((e: unknown) => e);
  expect(errorCode(refused)).toBe("GV_BAD_CONFIG");
  expect(String(refused)).toMatch(
    new RegExp(`cannot be served on 127.0.0.1:${port} .*set metrics_port`),
  );
});

it("with Redis and Postgres away it answers what is known, and that it is not ready", async () => {
  const redis = connectRedis({ url: "unix:///nonexistent/redis.sock" }, "away");
  ends.push(() => Promise.resolve(redis.disconnect()));
  const db = awayDatabase();
  const counts = new SupervisorCounts();
  counts.accepted = 7;
  const deployment = { id: "d", partitions: 2, layout: 1 };
  const context = { redis, db, counts, deployment, logger, clock: systemClock, id: "s" };
  const gauge = new LoadGauge(context as unknown as SupervisorContext, () => [0, 1]);
  const supervisor = {
    ping: () => redis.ping(),
    facts: async () => ({
      ...{ counts, load: await gauge.load(), roles: 2, held: 2, partitions: 2, stalled: 0 },
      workflows: { hits: 0, misses: 0 },
    }),
  };
  const watched = { ...nobodyWatched(), supervisors: [supervisor as never] };
  const server = await serve(watched, db);
  const paths = ["/metrics", "/metrics", "/readyz"];
  const told = await Promise.all(paths.map((path) => text(server, path)));
  const [first, second, ready] = told as [Told, Told, Told];
  expect(first).toEqual(second);
  expect(first.status).toBe(200);
  expect(first.lines).toContain("gavotte_runs_accepted_total 7");
  expect(first.lines).toContain('gavotte_store_up{store="redis"} 0');
  expect(first.lines).toContain('gavotte_store_up{store="postgres"} 0');
  expect(first.lines).toContain("gavotte_ready 0");
  expect(first.lines.join()).not.toContain("gavotte_archive_lag");
  expect([ready.status, ready.lines]).toEqual([
    503,
    ['{"status":"not ready","redis":false,"postgres":false}'],
  ]);
  expect((await text(server, "/healthz")).status).toBe(200);
});

it("a process in which nothing is to be asked, as the stack is another one's, is ready", async () => {
  const server = await serve(nobodyWatched(), awayDatabase());
  const [ready, metrics] = [await text(server, "/readyz"), await text(server, "/metrics")];
  expect([ready.status, ready.lines]).toEqual([200, ['{"status":"ready"}']]);
  expect(metrics.lines).toContain("gavotte_ready 1");
  expect(metrics.lines.join()).not.toContain("gavotte_store_up{");
});

it("other paths and methods are refused, and it stops with connections open", async () => {
  const server = await serve(nobodyWatched(), awayDatabase());
  expect((await text(server, "/")).status).toBe(404);
  expect((await fetch(`${server.url()}/metrics`, { method: "POST" })).status).toBe(405);
  expect((await fetch(`${server.url()}/metrics`, { method: "HEAD" })).status).toBe(200);
  await server.stop(0);
  await expect(fetch(`${server.url()}/healthz`)).rejects.toThrow();
});

interface Told {
  status: number;
  lines: string[];
}

async function text(server: MetricsServer, path: string): Promise<Told> {
  const response = await fetch(server.url() + path);
  const lines = (await response.text()).split("\n");
  // What Node says of the process differs from one moment to the next.
  return { status: response.status, lines: lines.filter((line) => !/^(node|process)/.test(line)) };
}
