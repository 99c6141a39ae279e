/** `gavotte doctor --audit` as a process: it names the drift, and repairs it when asked to. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, type CliResult } from "../../cmd/cli.fixture.ts";
import type { Client } from "../../sdk/client.ts";
import { partitionKeys } from "../../sdk/internal.ts";
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

describe("gavotte doctor --audit", () => {
  const doctor = (...flags: string[]): Promise<CliResult> =>
    runCli(cwd, ["doctor", "--audit", "--json", ...flags], {
      env: { GAVOTTE_REDIS_URL: engine.redisUrl, GAVOTTE_DATABASE_URL: databaseUrl() },
    });
  const databaseUrl = (): string =>
    (engine.db.pool.options as { connectionString?: string }).connectionString ?? "";

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
