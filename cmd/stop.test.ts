/** Commands that stop the deployment and force circuits, as processes, on an engine of their own. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../test/support/index.ts";
import { type CliResult, type Dev, runCli, startDev } from "./cli.fixture.ts";

const SLOW = 120_000;
const workflow = {
  name: "plain",
  nodes: [
    {
      ...{ id: "a", type: "function", config: { function_name: "builtin.echo" } },
      circuit_breaker: { key: "api", open_ms: 500 },
    },
  ],
  edges: [],
};

let cwd = "";
let dev: Dev;
const gavotte = (...args: string[]): Promise<CliResult> => runCli(cwd, args);

async function json(...args: string[]): Promise<{ [key: string]: unknown }> {
  const { stdout } = await gavotte(...args, "--json");
  return JSON.parse(stdout) as { [key: string]: unknown };
}

async function completed(runId: string): Promise<void> {
  await waitFor(async () => (await json("status", runId))["status"] === "COMPLETED", {
    ...{ describe: "it does not end", timeoutMs: 60_000 },
  });
}

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-stop-"));
  writeFileSync(join(cwd, "plain.json"), JSON.stringify(workflow));
  dev = await startDev(cwd);
}, SLOW);

afterAll(async () => {
  expect(await dev.stop()).toBe(0);
}, SLOW);

describe("stop --all, resume --all", () => {
  it(
    "stop the deployment, which every command says that is asked, and let it go on",
    async () => {
      expect((await gavotte("stop")).stderr).toContain("say --all");
      expect((await gavotte("resume", "--all")).stderr).toContain("GV_NOT_PAUSED");
      const stopped = await gavotte("stop", "--all", "--as", "ann", "--reason", "wrong prices");
      expect(stopped).toMatchObject({ code: 0 });
      expect(stopped.stdout).toMatch(/^stopped: .*\nnothing is being executed\n$/);
      const runId = (await json("submit", "plain.json"))["run_id"] as string;
      const by = "by ann (wrong prices)";
      const status = await gavotte("status", runId);
      expect(status.stdout).toMatch(/QUEUED\n.*\nthe deployment is stopped since 2.* by ann \(/);
      expect((await gavotte("why", runId)).stdout).toContain(
        `deployment is stopped ${by}: nothing`,
      );
      expect((await gavotte("doctor")).stdout).toMatch(
        /warn stopped +by ann \(wrong prices\) since/,
      );
      expect((await json("pauses"))["pauses"]).toMatchObject([{ kind: "all", who: "ann" }]);
      expect((await gavotte("resume", runId, "--all")).code).toBe(2);
      expect((await gavotte("resume", "--all")).stdout).toBe("the deployment goes on\n");
      await completed(runId);
    },
    SLOW,
  );
});

describe("circuits", () => {
  it(
    "are listed, opened and closed by hand, and the audit has it",
    async () => {
      expect((await json("circuits"))["circuits"]).toEqual([]);
      expect((await gavotte("circuits", "opn", "api")).stderr).toContain("did you mean open?");
      expect((await gavotte("circuits", "open")).code).toBe(2);
      expect((await gavotte("circuits", "open", "api", "--as", "ann")).code).toBe(0);
      const runId = (await json("submit", "plain.json"))["run_id"] as string;
      await waitFor(async () => (await gavotte("why", runId)).stdout.includes("open by hand"), {
        ...{ describe: "it is not held back", timeoutMs: 60_000 },
      });
      const [circuit] = (await json("circuits"))["circuits"] as object[];
      expect(circuit).toMatchObject({ name: "api", state: "open", until: null, by_hand: true });
      expect((await gavotte("circuits")).stdout).toMatch(/api +open +0 +closed by hand/);
      expect((await gavotte("circuits", "close", "api", "--as", "bob")).code).toBe(0);
      await completed(runId);
      const { audit } = await json("audit");
      expect(audit).toMatchObject([
        { action: "circuit.close", who: "bob", run_id: null, after: { circuit: "api" } },
        { action: "circuit.open", who: "ann" },
        { action: "all.resume" },
        { action: "all.stop", who: "ann" },
      ]);
    },
    SLOW,
  );
});

describe("pause --queue", () => {
  it(
    "warns of the queue in which all runs end their maps and outputs, and of no other",
    async () => {
      const queues = ["kind:parallel", "kind:http"];
      const paused = queues.map((queue) => gavotte("pause", "--queue", queue));
      const [all, own] = await Promise.all(paused);
      expect(all).toMatchObject({ code: 0, stdout: "queue kind:parallel paused\n" });
      expect(all?.stderr).toMatch(
        /^warning: until it is resumed no map ends in the whole deployment/,
      );
      expect(own).toEqual({ code: 0, stdout: "queue kind:http paused\n", stderr: "" });
    },
    SLOW,
  );
});
