import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import { admitRuns, listRuns, type Queryable, type RunFilter } from "../sdk/postgres/index.ts";
import { testDatabase, testRedis } from "../test/support/index.ts";
import { runCli } from "./cli.fixture.ts";

const services = await testRedis();
const database = await testDatabase();
const cwd = mkdtempSync(join(tmpdir(), "gv-runs-"));
afterAll(async () => {
  await Promise.all([services.close(), database.close()]);
  rmSync(cwd, { recursive: true, force: true });
});

it(
  "several statuses are one list, newest first, and which attempt of a run it is is told",
  { timeout: 60_000 },
  async () => {
    const db = database.connect();
    const nodes = [{ id: "a", type: "wait", config: { signal: "s" } }];
    const { ir, hash } = compile({ document: { name: "w", nodes } });
    const of = { hash: hash as string, name: "w", version: "", source: null, createdAtMs: 1 };
    const rows = ["r1", "r2", "r3", "r4", "r5"].map((id, at) => ({
      ...{ id, tenant: "", workflow: "w", version: "", irHash: of.hash, partition: 0 },
      ...{ namespace: "", priority: "normal" as const, input: "null", idempotencyKey: null },
      ...{ requestHash: "", createdAtMs: at },
    }));
    await admitRuns(db, [{ ...of, ir: JSON.stringify(ir) }], rows);
    const end = "UPDATE runs SET status = 'CANCELLED', ended_at_ms = 9 WHERE id IN ('r2', 'r4')";
    await db.query({ name: "end_two", text: end });
    await db.query({ name: "begin", text: "UPDATE runs SET status = 'RUNNING' WHERE id = 'r5'" });

    const env = { GAVOTTE_REDIS_URL: services.url, GAVOTTE_DATABASE_URL: database.url };
    const list = async (...flags: string[]): Promise<string[]> => {
      const { stdout, stderr } = await runCli(cwd, ["runs", "--json", ...flags], { env });
      const { runs } = JSON.parse(stdout) as { runs?: { run_id: string }[] };
      return runs?.map(({ run_id: id }) => id) ?? [stderr];
    };
    expect(await list("--status", "queued,CANCELLED", "--limit", "3")).toEqual(["r4", "r3", "r2"]);
    // One statement sees one moment: no run is missed, or told twice, that goes on meanwhile.
    const asked: string[] = [];
    const counting: Queryable = {
      query: (statement, values) => (asked.push(statement.name), db.query(statement, values)),
    };
    const listed = async (status: RunFilter["status"]): Promise<string[]> =>
      (await listRuns(counting, { limit: 9, status: status ?? [] })).map(({ id }) => id);
    expect(await listed(["RUNNING", "CANCELLED", "RUNNING"])).toEqual(["r5", "r4", "r2"]);
    expect(asked).toHaveLength(1);
    expect(await listed(["QUEUED", "COMPLETED"])).toEqual(["r3", "r1"]);
    expect(await listed([])).toEqual([]);
    await db.query({ name: "redriven", text: "UPDATE runs SET attempt = 2 WHERE id = 'r2'" });
    const told = async (id: string): Promise<string> =>
      (await runCli(cwd, ["status", id], { env })).stdout;
    expect(await told("r2")).toMatch(/^w r2 CANCELLED\nattempt 2 of the run, which was redriven/);
    expect(await told("r4")).not.toContain("attempt");
    expect(await list("--status", "QUEUED,DONE")).toEqual([
      expect.stringMatching(/one of .*"DONE"/),
    ]);
  },
);
