/** What came of a run goes on in the command that ran it, or with all workers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { RunReport } from "../sdk/client-report.ts";
import { waitFor } from "../test/support/index.ts";
import { type CliResult, type Dev, runCli, startCli, startDev } from "./cli.fixture.ts";

const SLOW = 90_000;
let cwd = "";
let dev: Dev;
const gavotte = (...args: string[]): Promise<CliResult> => runCli(cwd, args);

/** What undoes, and what is long, ends when the file "go" is there: after the command has said that it waits. */
const FUNCTIONS = `import { appendFileSync, existsSync } from "node:fs";
import { defineFunction } from "gavotte";
async function mayEnd() {
  while (!existsSync("go")) await new Promise((done) => setTimeout(done, 20));
}
export const charge = defineFunction("charge", () => 7);
export const broken = defineFunction("broken", ({ input }) => {
  if (input.works !== true) throw new Error("no luck");
  return "mended";
});
export const refund = defineFunction("refund", async ({ input }) => {
  await mayEnd();
  appendFileSync("refunds", JSON.stringify(input) + "\\n");
});
export const long = defineFunction("long", async () => {
  await mayEnd();
  return "went on";
});
`;
const call = (id: string, name: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: name }, ...more },
});

function writeWorkflow(name: string, ...nodes: object[]): string {
  const ids = nodes.map((node) => (node as { id: string }).id);
  const edges = ids.slice(1).map((to, i) => ({ from: ids[i], to }));
  writeFileSync(join(cwd, `${name}.json`), JSON.stringify({ name, version: "1", nodes, edges }));
  return `${name}.json`;
}

const letEnd = (): void => writeFileSync(join(cwd, "go"), "");
const refunds = (): string[] => readFileSync(join(cwd, "refunds"), "utf8").trim().split("\n");
const run = (file: string, ...more: string[]): string[] => [
  ...["run", file, "--functions", "functions.ts"],
  ...more,
];

async function report(runId: string): Promise<RunReport> {
  return JSON.parse((await gavotte("status", runId, "--json")).stdout) as RunReport;
}

interface Listed {
  run_id: string;
  status: string;
}

/** Runs of a workflow, newest first. */
async function runsOf(workflow: string): Promise<Listed[]> {
  const { stdout } = await gavotte("runs", "--workflow", workflow, "--json");
  return (JSON.parse(stdout) as { runs: Listed[] }).runs;
}

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-rest-"));
  writeFileSync(join(cwd, "functions.ts"), FUNCTIONS);
  writeFileSync(join(cwd, "refunds"), "");
  dev = await startDev(cwd, "--functions", "functions.ts");
}, SLOW);

beforeEach(() => rmSync(join(cwd, "go"), { force: true }));
afterAll(async () => {
  expect(await dev.stop()).toBe(0);
}, SLOW);

describe("when its run has ended, the command", () => {
  it(
    "undoes what the run did before it failed, and says so",
    async () => {
      const file = writeWorkflow(
        "order",
        call("charge", "charge", { compensate: "refund" }),
        call("ship", "broken"),
      );
      const command = startCli(cwd, run(file, "--json"));
      await command.said("undoing what run");
      letEnd();
      const { code, stdout, stderr } = await command.ended;
      const { run_id, status } = JSON.parse(stdout) as RunReport;
      expect([code, status]).toEqual([1, "FAILED"]);
      expect(stderr).toContain(`what run ${run_id} did is undone: run ${run_id}~`);
      expect(refunds()).toEqual(["7"]);
      expect((await report(run_id)).compensation?.status).toBe("COMPLETED");
    },
    SLOW,
  );

  it(
    "undoes what a run did that an interrupt has cancelled",
    async () => {
      const waits = { id: "waits", type: "wait", config: { signal: "never" } };
      const file = writeWorkflow(
        "begun",
        call("charge", "charge", { compensate: "refund" }),
        waits,
      );
      const before = refunds().length;
      const command = startCli(cwd, run(file));
      await command.said("waits waiting");
      command.child.kill("SIGINT");
      await command.said("undoing what run");
      letEnd();
      const { code, stderr } = await command.ended;
      expect(code).toBe(130);
      expect(stderr).toContain("is undone: run ");
      expect(refunds()).toHaveLength(before + 1);
    },
    SLOW,
  );

  it(
    "goes on with a child that nobody waits for",
    async () => {
      await gavotte("publish", writeWorkflow("long", call("first", "long"), call("then", "long")));
      const config = { workflow: "long", wait: false };
      const file = writeWorkflow("parent", { id: "sub", type: "subworkflow", config });
      const command = startCli(cwd, run(file));
      await command.said("goes on, and is served here until its end");
      letEnd();
      const { code, stderr } = await command.ended;
      expect(code).toBe(0);
      expect(stderr).toMatch(/run \S+~\S+ \(long\) goes on, and is served here until its end/);
      const [child] = await runsOf("long");
      expect(await report(child?.run_id ?? "")).toMatchObject({
        status: "COMPLETED",
        output: "went on",
      });
    },
    SLOW,
  );

  it(
    "leaves such a child to the other workers when it is interrupted",
    async () => {
      const stays = { id: "stays", type: "wait", config: { signal: "go" } };
      await gavotte("publish", writeWorkflow("stays", stays, call("then", "long")));
      const config = { workflow: "stays", wait: false };
      const file = writeWorkflow("leaves", { id: "sub", type: "subworkflow", config });
      const command = startCli(cwd, run(file));
      await command.said("goes on, and is served here");
      command.child.kill("SIGINT");
      const { code, stderr } = await command.ended;
      expect([code, stderr]).toEqual([130, expect.stringContaining("left to the other workers")]);
    },
    SLOW,
  );
});

describe("a run whose command has ended goes on with all workers", () => {
  it(
    "when it is redriven",
    async () => {
      const file = writeWorkflow("again", call("only", "broken"));
      const { stdout } = await gavotte(...run(file, "--json", "--input", '{"works": false}'));
      const { run_id } = JSON.parse(stdout) as RunReport;
      const redriven = await gavotte("redrive", run_id, "--input", '{"works": true}');
      expect(redriven.code).toBe(0);
      const end = await waitFor(async () => {
        const now = await report(run_id);
        return now.status === "RUNNING" ? undefined : now;
      });
      expect(end).toMatchObject({ status: "COMPLETED", output: "mended" });
    },
    SLOW,
  );

  it(
    "when its submission was refused, and is tried again",
    async () => {
      const config = { workflow: "later" };
      const file = writeWorkflow("early", { id: "sub", type: "subworkflow", config });
      expect((await gavotte(...run(file))).stderr).toContain("GV_WORKFLOW_NOT_FOUND");
      await gavotte("publish", writeWorkflow("later", call("only", "long")));
      letEnd();
      const list = await gavotte("dlq", "list", "--json");
      const { dead_letters } = JSON.parse(list.stdout) as { dead_letters: { id: string }[] };
      await gavotte("dlq", "retry", dead_letters[0]?.id ?? "none");
      const [again] = await runsOf("early");
      const end = await waitFor(async () => {
        const now = await report(again?.run_id ?? "");
        return now.status === "RUNNING" ? undefined : now;
      });
      expect(end).toMatchObject({ status: "COMPLETED", output: "went on" });
    },
    SLOW,
  );
});
