/** The roles as processes of their own, on a Redis and a Postgres that are configured by URL. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  freePort,
  testDatabase,
  testRedis,
  type TestDatabase,
  type TestRedis,
} from "../test/support/index.ts";
import {
  GATEWAY_METRICS,
  METRICS,
  PROCESS_METRICS,
  SUPERVISOR_METRICS,
  WORKER_METRICS,
} from "./metrics/catalogue.ts";
import { EXAMPLES, runCli, startCli, type CliProcess, type CliResult } from "./cli.fixture.ts";

/** Each test is several processes, which start one after the other. */
const SLOW = 90_000;
/** No submission is refused here, no token waits, and the gateway has called no script. */
const UNLESS_IT_HAPPENS = new Set([
  "gavotte_submissions_rejected_total",
  "gavotte_queue_tokens",
  "gavotte_queue_oldest_seconds",
  "gavotte_http_requests_total",
  "gavotte_script_calls_total",
]);
let ports: string[] = [];
let cwd = "";
let redis: TestRedis;
let database: TestDatabase;
let env: { [name: string]: string } = {};
const running: CliProcess[] = [];
const gavotte = (...args: string[]): Promise<CliResult> => runCli(cwd, args, { env });

async function serve(said: string, ...args: string[]): Promise<void> {
  const started = startCli(cwd, args, { env });
  running.push(started);
  await started.said(said);
}

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-processes-"));
  redis = await testRedis();
  database = await testDatabase({ migrated: false });
  env = { GAVOTTE_REDIS_URL: redis.url, GAVOTTE_DATABASE_URL: database.url };
}, SLOW);

afterAll(async () => {
  for (const { child, ended } of running.reverse()) {
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
  }
  await redis.close();
  await database.close();
  rmSync(cwd, { recursive: true, force: true });
}, SLOW);

describe("roles as processes", () => {
  it(
    "are told what is missing while nobody has migrated",
    async ({ skip }) => {
      // A PGlite is one session: processes that share it need the embedded stack's care.
      skip(database.singleSession);
      for (const command of ["runs", "worker", "gateway", "supervisor"]) {
        const refused = await gavotte(command);
        expect(refused).toMatchObject({ code: 2, stdout: "" });
        expect(refused.stderr).toContain('run "gavotte migrate" first');
      }
    },
    SLOW,
  );

  it(
    "migrate, and are told that nobody takes a submission in",
    async ({ skip }) => {
      skip(database.singleSession);
      expect((await gavotte("migrate")).stdout).toContain("0001_initial");
      expect((await gavotte("migrate")).stderr).toContain("up to date");
      const file = join(EXAMPLES, "diamond.json");
      const unheard = await gavotte("submit", file, "--submit-timeout-ms", "200");
      expect(unheard).toMatchObject({ code: 3, stdout: "" });
      expect(unheard.stderr).toContain("GV_INTAKE_UNAVAILABLE");
    },
    SLOW,
  );

  it(
    "supervise, work and serve the feed",
    async ({ skip }) => {
      skip(database.singleSession);
      const free = await Promise.all([freePort(), freePort(), freePort()]);
      const [one, two, three] = (ports = free.map(String)) as [string, string, string];
      await serve("supervisor runs", "supervisor", "--partitions", "2", "--metrics-port", one);
      await serve("worker runs", "worker", "--metrics-port", two);
      const listen = ["--gateway-listen", "127.0.0.1:0", "--metrics-port", three];
      await serve("gateway runs", "gateway", ...listen);
      const file = join(EXAMPLES, "diamond.json");
      const done = await gavotte("submit", file, "--wait", "--input", '{"n": 1}');
      expect(done).toMatchObject({ code: 0, stdout: '{"total":13}\n' });
      const here = await gavotte("run", file, "--input", '{"n": 2}');
      expect(here).toMatchObject({ code: 0, stdout: '{"total":15}\n' });
      const health = await gavotte("doctor");
      expect(health.stdout).toContain("2, all certified");
      expect(health.stdout).toMatch(/ gateway +.*http:\/\/127\.0\.0\.1:8080/);
      // How many it holds is as of its last report.
      expect(health.stdout).toContain(" of 100 steps");
    },
    SLOW,
  );

  it(
    "serve what each of them knows as metrics, and say whether they do their work",
    async ({ skip }) => {
      skip(database.singleSession);
      const ask = async (port: string, path: string): Promise<[number, string]> => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`);
        return [response.status, await response.text()];
      };
      const [supervisor, worker, gateway] = ports as [string, string, string];
      const own = {
        // The one that nobody heard is among them.
        [supervisor]: [SUPERVISOR_METRICS, "gavotte_runs_accepted_total 3"],
        [worker]: [WORKER_METRICS, 'gavotte_worker_slots{state="free"} 100'],
        [gateway]: [GATEWAY_METRICS, "gavotte_feed_clients 0"],
      } as const;
      const stores: { [port: string]: object } = { [worker]: { status: "ready", redis: true } };
      for (const [port, [mine, line]] of Object.entries(own)) {
        expect(await ask(port, "/healthz")).toEqual([200, '{"status":"ok"}']);
        const [status, ready] = await ask(port, "/readyz");
        const expected = stores[port] ?? { status: "ready", redis: true, postgres: true };
        expect([status, JSON.parse(ready)]).toEqual([200, expected]);
        const [, text] = await ask(port, "/metrics");
        const has = (name: string): boolean => text.includes(`# TYPE ${name} `);
        const names = Object.keys({ ...PROCESS_METRICS, ...mine });
        expect(names.filter((name) => !has(name) && !UNLESS_IT_HAPPENS.has(name))).toEqual([]);
        expect(text.split("\n")).toContain(line);
        // What is another role's is not here.
        expect(Object.keys(METRICS).filter((name) => has(name) && !names.includes(name))).toEqual(
          port === worker ? ["gavotte_workflow_cache_total"] : [],
        );
      }
      const taken = await gavotte("worker", "--metrics-port", worker);
      expect(taken).toMatchObject({ code: 2, stdout: "" });
      expect(taken.stderr).toContain(`cannot be served on 127.0.0.1:${worker}`);
    },
    SLOW,
  );

  it(
    "W12: SIGTERM hands back what takes too long: another executes it as the same attempt",
    async ({ skip }) => {
      skip(database.singleSession);
      const slow = (ms: number): string => `import { defineFunction } from "gavotte";
        export const slow = defineFunction("slow", ({ attempt }) => {
          console.error("begun");
          return new Promise((done) => setTimeout(() => done({ attempt, ms: ${ms} }), ${ms}));
        });`;
      writeFileSync(join(cwd, "late.mjs"), slow(600_000));
      writeFileSync(join(cwd, "soon.mjs"), slow(1));
      const nodes = [{ id: "s", type: "function", config: { function_name: "slow" } }];
      writeFileSync(join(cwd, "slow.json"), JSON.stringify({ name: "slow", nodes, edges: [] }));
      const worker = ["worker", "--shutdown-ms", "100", "--functions"];
      const leaves = startCli(cwd, [...worker, "late.mjs"], { env });
      await leaves.said("worker runs");
      const submitted = startCli(cwd, ["submit", "slow.json", "--wait"], { env });
      running.push(submitted);
      await leaves.said("begun");
      leaves.child.kill("SIGTERM");
      expect((await leaves.ended).code).toBe(0);
      await serve("worker runs", ...worker, "soon.mjs");
      expect(await submitted.ended).toMatchObject({ code: 0, stdout: '{"attempt":1,"ms":1}\n' });
    },
    SLOW,
  );

  it(
    "hear that they are to stop also while they wait for what their start needs",
    async ({ skip }) => {
      skip(database.singleSession);
      const away = { ...env, GAVOTTE_REDIS_URL: "redis://127.0.0.1:1" };
      const waits = startCli(cwd, ["supervisor"], { env: away });
      await waits.said("the start waits for it");
      waits.child.kill("SIGTERM");
      const { code, stdout, stderr } = await waits.ended;
      expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
      expect(stderr).not.toContain("supervisor runs");
      // Some stores of logs refuse a key twice in one object, and whatever is no JSON.
      const lines = stderr.split("\n").filter((line) => line !== "");
      const odd = (line: string): boolean => (line.match(/"role":/g) ?? []).length !== 1;
      expect(lines.filter(odd)).toEqual([]);
      const told = lines.map((line) => JSON.parse(line) as { host: string; msg: string });
      expect(told.at(-1)).toMatchObject({ host: hostname(), msg: "stopping" });
    },
    SLOW,
  );

  it(
    "accept a submission with the same idempotency key once",
    async ({ skip }) => {
      skip(database.singleSession);
      writeFileSync(join(cwd, "input.json"), '{"n": 3}');
      const file = join(EXAMPLES, "diamond.json");
      const args = ["submit", file, "--idempotency-key", "k1", "--input"];
      const [first, second] = [
        await gavotte(...args, "@input.json"),
        await gavotte(...args, '{"n":3}'),
      ];
      expect(second.stdout).toBe(first.stdout);
      const other = await gavotte(...args, '{"n":4}');
      expect(other).toMatchObject({ code: 1, stdout: "" });
      expect(other.stderr).toContain("GV_IDEMPOTENCY_CONFLICT");
    },
    SLOW,
  );
});
