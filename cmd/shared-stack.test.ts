/** Several processes on one embedded stack, and what is left when one of them dies. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, startCli } from "./cli.fixture.ts";

const SLOW = 90_000;
let cwd = "";

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "gv-shared-"));
  const delay = { id: "only", type: "delay", config: { delay_ms: 600_000 } };
  writeFileSync(join(cwd, "slow.json"), JSON.stringify({ name: "slow", nodes: [delay] }));
  writeFileSync(
    join(cwd, "quick.json"),
    JSON.stringify({ name: "quick", nodes: [{ id: "only", type: "pass" }] }),
  );
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

describe("the embedded stack of several processes", () => {
  it(
    "stops after the last of them, not under it",
    async () => {
      const owner = startCli(cwd, ["run", "slow.json"]);
      await owner.said("only waiting");
      const other = startCli(cwd, ["run", "slow.json"]);
      await other.said("only waiting");
      owner.child.kill("SIGINT");
      await owner.said("use this stack");
      other.child.kill("SIGINT");
      expect([(await other.ended).code, (await owner.ended).code]).toEqual([130, 130]);
      const list = await runCli(cwd, ["runs", "--json"]);
      const { runs } = JSON.parse(list.stdout) as { runs: { status: string }[] };
      expect(runs.map(({ status }) => status)).toEqual(["CANCELLED", "CANCELLED"]);
    },
    SLOW,
  );

  it(
    "is lost with its owner: the others say so and end, the next start has the data",
    async () => {
      const owner = startCli(cwd, ["run", "slow.json"]);
      await owner.said("only waiting");
      const other = startCli(cwd, ["run", "slow.json"]);
      await other.said("only waiting");
      owner.child.kill("SIGKILL");
      const lost = await other.ended;
      expect(lost.code).toBe(3);
      expect(lost.stderr).toContain("start again");
      expect(await runCli(cwd, ["run", "quick.json", "--input", "7"])).toMatchObject({
        code: 0,
        stdout: "7\n",
      });
      // Nobody serves the runs of the two any more: the stack that started has ended them.
      const list = await runCli(cwd, ["runs", "--workflow", "slow", "--json"]);
      expect(list).toMatchObject({ code: 0, stderr: "" });
      const { runs } = JSON.parse(list.stdout) as { runs: { status: string; error?: object }[] };
      const [one, two] = runs;
      expect([one, two]).toMatchObject(
        [one, two].map(() => ({ status: "CANCELLED", error: { code: "CANCELLED" } })),
      );
      expect(JSON.stringify(one?.error)).toContain("is gone");
    },
    SLOW,
  );
});
