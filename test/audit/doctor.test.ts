/** `gavotte doctor` as a process, with `--audit`: it names what is wrong, and repairs it when asked to. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, type CliResult } from "../../cmd/cli.fixture.ts";
import type { Client } from "../../sdk/client.ts";
import { globalKeys, partitionKeys, ScriptRunner, suspectRun } from "../../sdk/internal.ts";
import type { Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";
import { Audited, line, wait } from "./audited.fixture.ts";

const keys = partitionKeys(0);
let cwd: string;
let on: Audited;
let engine: Engine;
let client: Client;

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-audit-"));
  on = await Audited.start();
  ({ engine, client } = on);
});
afterAll(async () => {
  await on.stop();
  rmSync(cwd, { recursive: true, force: true });
});

const databaseUrl = (): string =>
  (engine.db.pool.options as { connectionString?: string }).connectionString ?? "";
/** Each test is several processes, one after the other. */
const COMMANDS_MS = 120_000;
const gavotte = (...args: string[]): Promise<CliResult> =>
  runCli(cwd, args, {
    env: { GAVOTTE_REDIS_URL: engine.redisUrl, GAVOTTE_DATABASE_URL: databaseUrl() },
  });

describe("gavotte doctor", { timeout: COMMANDS_MS }, () => {
  it("names a run whose repair fails, as status and why do, until it is cancelled", async () => {
    const id = await on.standing(line("lasting", [wait("w")]), "w", "waiting");
    const text = "UPDATE runs SET input = '~' || input WHERE id = $1";
    await engine.db.query({ name: "damage", text }, [id]);
    const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) ?? "";
    const scripts = new ScriptRunner({ redis: engine.redis, deployment, partition: 0 });
    await suspectRun(scripts, { runId: id, status: "running", epoch: "1" });
    await waitFor(async () => (await engine.redis.hget(keys.run(id), "rpe")) !== null);
    const why = "cannot be put back from its journal, after [0-9]+ of";
    expect((await gavotte("doctor")).stdout).toMatch(new RegExp(`warn run +${id} .*${why}`));
    expect((await gavotte("status", id)).stdout).toContain("frozen until it is repaired");
    expect((await gavotte("why", id)).stdout).toMatch(new RegExp(why));
    expect((await gavotte("cancel", id)).code).toBe(0);
    expect((await engine.ended(id)).status).toBe("CANCELLED");
    expect((await gavotte("status", id)).stdout).not.toContain("frozen");
  });
});

describe("gavotte doctor --audit", { timeout: COMMANDS_MS }, () => {
  const doctor = (...flags: string[]): Promise<CliResult> =>
    gavotte("doctor", "--audit", "--json", ...flags);

  it("says that there is no such run, as every command does", async () => {
    const { code, stdout } = await doctor("--run", "no-such-run");
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "GV_RUN_NOT_FOUND" } });
  });

  it("names the drift and exits 1, repairs it when asked to, and finds nothing after", async () => {
    const id = await on.standing(line("cli", [wait("w")]), "w", "waiting");
    await engine.redis.hincrby(keys.run(id), "c", 2);
    const found = await doctor("--run", id);
    expect(found.code).toBe(1);
    const { audit: told } = JSON.parse(found.stdout) as {
      audit: { drifts: { kind: string; runId: string }[] };
    };
    expect(told.drifts.map(({ kind }) => kind)).toEqual(["counter", "field"]);
    expect((await engine.redis.hget(keys.run(id), "c")) ?? "").toBe("3");
    const repaired = await doctor("--run", id, "--repair");
    expect(JSON.parse(repaired.stdout)).toMatchObject({
      audit: { repair: { repaired: [id], failed: [] } },
    });
    await waitFor(async () => (await engine.redis.hget(keys.run(id), "c")) === "1");
    const after = JSON.parse((await doctor("--run", id)).stdout) as { audit: object };
    expect(after.audit).toMatchObject({ runs: 1, drifts: [] });
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });
});

describe("gavotte doctor, of supervisors", { timeout: COMMANDS_MS }, () => {
  it("counts them, and is not well when none runs", async ({ skip }) => {
    skip(engine.db.singleSession); // who runs a PGlite runs a supervisor beside it
    const well = await gavotte("doctor");
    expect(well.stdout).toMatch(/^ok +supervisors +1$/m);
    expect(well.code).toBe(0);
    await engine.supervisor.stop(5000);
    const ill = await gavotte("doctor");
    expect(ill.stdout).toMatch(/^BAD +supervisors +none: .*start "gavotte supervisor"$/m);
    expect(ill.code).toBe(1);
  });
});
