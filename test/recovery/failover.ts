/**
 * `npm run failover -- [--rounds 20] [--out FILE]`: how long a partition is without a supervisor when
 * the one that serves it is killed (`kill -9`). Two supervisors, one of them standing by; from the
 * kill until a run that was submitted at that moment is COMPLETED in Postgres, less what a run takes
 * at other times.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { createClient, type Client } from "../../sdk/client.ts";
import { ChaosStack } from "../chaos/stack.ts";
import { waitFor } from "../support/wait-for.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "20" }, out: { type: "string" } },
});
const rounds = Number(values.rounds);
/** Roles are taken and given up once a second: two looks after both are up nothing moves any more. */
const SETTLED_MS = 2500;
const LIMIT = { timeoutMs: 60_000 };
const HOLDERS = {
  name: "failover_holders",
  text: `SELECT pid, objid::bigint AS key FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock' ORDER BY objid`,
};
const echo = { function_name: "builtin.echo" };
const workflow = { name: "one", nodes: [{ id: "a", type: "function", config: echo }], edges: [] };

const stack = await ChaosStack.start();

/** Sessions in Postgres that hold a role, by role. */
async function holders(): Promise<string> {
  return JSON.stringify(await stack.db.query(HOLDERS));
}

/** Submits a run and waits until Postgres has its end, ms. */
async function runOnce(client: Client): Promise<number> {
  const begun = performance.now();
  const id = await client.submit({ workflow: workflow as never, input: {} });
  await client.ended(id, LIMIT);
  return performance.now() - begun;
}

const middle = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? NaN;
const rounded = (list: readonly number[]): number[] => list.map(Math.round);

try {
  for (const role of ["supervisor", "supervisor", "worker"] as const) {
    await stack.spawn(role);
  }
  const client = await createClient({ redisUrl: stack.box.url, database: stack.db });
  const usual: number[] = [];
  const failovers: number[] = [];
  while (failovers.length < rounds) {
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    usual.push(await runOnce(client));
    const before = await holders();
    await stack.kill("supervisor", 0);
    const ms = await runOnce(client);
    await waitFor(async () => (await holders()).length >= before.length, LIMIT);
    if ((await holders()) !== before) {
      failovers.push(ms); // else the one that stood by was killed
    }
    await stack.spawn("supervisor");
  }
  await client.close();
  const git = ["rev-parse", "--short", "HEAD"];
  const report = {
    ...{ date: new Date().toISOString(), rounds },
    commit: execFileSync("git", git, { encoding: "utf8" }).trim(),
    usualMs: { middle: Math.round(middle(usual)), all: rounded(usual) },
    failoverMs: {
      ...{ middle: Math.round(middle(failovers)), most: Math.round(Math.max(...failovers)) },
      all: rounded(failovers),
    },
    machine: { cores: cpus().length, node: process.version, load: rounded(loadavg()) },
  };
  const text = `${JSON.stringify(report, null, 2)}\n`;
  process.stdout.write(text);
  if (values.out !== undefined) {
    writeFileSync(values.out, text);
  }
} finally {
  await stack.stop();
}
