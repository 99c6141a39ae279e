/** Commands on the embedded stack, as processes: runs, interrupts, and questions about them. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunReport } from "../sdk/client-report.ts";
import { type CliResult, type Dev, EXAMPLES, runCli, startCli, startDev } from "./cli.fixture.ts";

/** Starting a stack, running, and stopping it takes seconds on a busy machine. */
const SLOW = 90_000;
let cwd = "";
let dev: Dev;
const gavotte = (...args: string[]): Promise<CliResult> => runCli(cwd, args);
const example = (file: string): string => join(EXAMPLES, file);

const FUNCTIONS = `import { defineFunction } from "gavotte";
export const hello = defineFunction("hello", ({ input }) => "Hello " + input.name);
export const large = defineFunction("large", () => "x".repeat(20_000));
export const fails = defineFunction("fails", () => { throw new Error("no luck"); });
`;

function writeWorkflow(name: string, node: object): string {
  const file = `${name}.json`;
  const document = { name, version: "1.0.0", nodes: [{ id: "only", ...node }], edges: [] };
  writeFileSync(join(cwd, file), JSON.stringify(document));
  return file;
}

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-run-"));
  writeFileSync(join(cwd, "functions.ts"), FUNCTIONS);
  dev = await startDev(cwd);
}, SLOW);

afterAll(async () => {
  expect(await dev.stop()).toBe(0);
}, SLOW);

describe("run", () => {
  it(
    "runs every node on the live way once and skips the other branch",
    async () => {
      const input = '{"points": 1200}';
      const result = await gavotte("run", example("branch_merge.json"), "--json", "--input", input);
      expect(result.code).toBe(0);
      const report = JSON.parse(result.stdout) as RunReport;
      expect(report).toMatchObject({
        workflow: "branch-merge",
        status: "COMPLETED",
        error: null,
        output: { tier: "premium", discount: 0.2 },
      });
      expect(report.nodes.finalize).toMatchObject({ status: "completed", activations: 1 });
      expect(report.nodes.basic).toMatchObject({ status: "skipped", activations: 0 });
      expect(Date.parse(report.ended_at ?? "")).toBeGreaterThan(0);
    },
    SLOW,
  );

  it(
    "gives two at once their own functions, and their output on stdout alone",
    async () => {
      const file = writeWorkflow("greet", {
        type: "function",
        config: { function_name: "hello" },
      });
      const own = ["run", file, "--functions", "functions.ts", "--input"];
      const stubbed = ["run", file, "--stub", "--input", '{"name": "Bo"}'];
      const [real, echo] = await Promise.all([
        gavotte(...own, '{"name": "Ada"}'),
        gavotte(...stubbed),
      ]);
      expect(real).toMatchObject({ code: 0, stdout: '"Hello Ada"\n' });
      expect(echo).toMatchObject({ code: 0, stdout: '{"name":"Bo"}\n' });
      expect(echo.stderr).toContain("stubbed, they return their input: hello");
    },
    SLOW,
  );

  it(
    "names the function that is probably meant by one that is missing",
    async () => {
      const file = writeWorkflow("misspelt", {
        type: "function",
        config: { function_name: "helo" },
      });
      const { code, stderr } = await gavotte("run", file, "--functions", "functions.ts");
      expect([code, stderr]).toEqual([
        2,
        expect.stringContaining("helo (did you mean hello?), called"),
      ]);
    },
    SLOW,
  );

  it(
    "asks for functions in bodies of maps, of loops and of child workflows, or stubs them",
    async () => {
      const body = { type: "function", config: { function_name: "absent" } };
      const config = { items: "${[1, 2]}", do: body };
      const child = writeWorkflow("rows", { type: "map", config });
      expect((await gavotte("publish", child)).code).toBe(0);
      const parent = writeWorkflow("of-rows", {
        type: "subworkflow",
        config: { workflow: "rows" },
      });
      for (const file of [child, parent]) {
        const refused = await gavotte("run", file);
        expect(refused.stderr).toMatch(
          /GV_FUNCTIONS_INVALID.*nothing here defines absent, called by rows;/,
        );
        const stubbed = await gavotte("run", file, "--stub");
        expect(stubbed).toMatchObject({ code: 0, stdout: "[1,2]\n" });
      }
    },
    SLOW,
  );

  it(
    "prints a large output of a node whole, as status does",
    async () => {
      const file = writeWorkflow("large", { type: "function", config: { function_name: "large" } });
      const printed = await gavotte("run", file, "--functions", "functions.ts", "--json");
      const report = JSON.parse(printed.stdout) as RunReport;
      expect(report.nodes.only?.output).toBe("x".repeat(20_000));
      const status = await gavotte("status", report.run_id, "--json");
      expect((JSON.parse(status.stdout) as RunReport).nodes).toEqual(report.nodes);
    },
    SLOW,
  );

  it(
    "exits 1 with the node and the reason when the run fails",
    async () => {
      const file = writeWorkflow("luck", { type: "function", config: { function_name: "fails" } });
      const result = await gavotte("run", file, "--functions", "functions.ts");
      expect(result).toMatchObject({ code: 1, stdout: "" });
      const end = /FAILED at only: HANDLER_ERROR .*no luck \(thrown at functions\.ts:4:\d+\)$/m;
      expect(result.stderr).toMatch(end);
    },
    SLOW,
  );

  it(
    "X20: begins in the middle with what is given, and names the line of what lacks something",
    async () => {
      const file = "begun.yaml";
      const nodes = ["- {id: a, type: pass}", "- {id: b, type: pass}", "- {id: c, type: pass}"];
      const edges = "edges: [{from: a, to: c}, {from: b, to: c}]";
      writeFileSync(join(cwd, file), ["name: begun", "nodes:", ...nodes, edges].join("\n"));
      const refused = await gavotte("run", file, "--from", "b");
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('begun.yaml:5: "c" waits for "a"');
      expect(refused.stderr).toContain("--set a=JSON");
      const given = ["--set", "a=1", "--node-input", "b=2", "--from", "b"];
      const done = await gavotte("run", file, ...given);
      expect(done).toMatchObject({ code: 0, stdout: '{"a":1,"b":2}\n' });
      const alone = await gavotte("submit", file, "--set", "a=1");
      expect(alone.stderr).toContain("go with --from");
    },
    SLOW,
  );

  it(
    "cancels its run when interrupted, and exits 130",
    async () => {
      const file = writeWorkflow("slow", { type: "delay", config: { delay_ms: 600_000 } });
      const run = startCli(cwd, ["run", file, "--json"]);
      await run.said("only waiting");
      run.child.kill("SIGINT");
      const { code, stdout } = await run.ended;
      expect(code).toBe(130);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: "INTERRUPTED" } });
      const list = await gavotte("runs", "--workflow", "slow", "--json");
      expect(JSON.parse(list.stdout)).toMatchObject({ runs: [{ status: "CANCELLED" }] });
    },
    SLOW,
  );
});

describe("submit, watch, status, cancel", () => {
  it(
    "follow a run of the workers from its submission to its end",
    async () => {
      const input = '{"rows": 2, "columns": 2}';
      const submitted = await gavotte("submit", example("nested_loops.json"), "--input", input);
      const runId = submitted.stdout.trim();
      const watched = await gavotte("watch", runId, "--json");
      expect(watched.code).toBe(0);
      expect(JSON.parse(watched.stdout)).toMatchObject({
        run_id: runId,
        status: "COMPLETED",
        nodes: { total: { status: "completed", attempts: 1 } },
      });
      const status = await gavotte("status", runId, "--json");
      expect(JSON.parse(status.stdout)).toMatchObject({
        output: { sum: 9 },
        nodes: { cell: { activations: 4 } },
      });
    },
    SLOW,
  );

  it(
    "say why a run does not move, and end it",
    async () => {
      const file = writeWorkflow("nobody", { type: "function", config: { function_name: "none" } });
      const runId = (await gavotte("submit", file)).stdout.trim();
      const status = await gavotte("status", runId, "--why");
      expect(status.stdout).toContain("queued in fn:none: no worker reads it");
      const cancelled = await gavotte("cancel", runId, "--reason", "nobody does it");
      expect(cancelled).toMatchObject({ code: 0, stdout: `${runId} CANCELLED\n` });
      expect(await gavotte("watch", runId)).toMatchObject({ code: 1 });
    },
    SLOW,
  );

  it(
    "X21: await a status, with an exit code for each way it can end",
    async () => {
      const file = writeWorkflow("awaited", { type: "wait", config: { signal: "go" } });
      const runId = (await gavotte("submit", file)).stdout.trim();
      const there = await gavotte("await", runId, "--status", "RUNNING,PAUSED");
      expect(there).toMatchObject({ code: 0, stdout: "RUNNING\n" });
      const late = await gavotte("await", runId, "--timeout", "1s");
      expect(late).toMatchObject({ code: 4, stdout: "" });
      expect(late.stderr).toContain("GV_AWAIT_TIMED_OUT");
      const other = gavotte("await", runId, "--status", "COMPLETED,PAUSED");
      await gavotte("cancel", runId);
      expect(await other).toMatchObject({ code: 1, stdout: "" });
      const ended = await gavotte("await", runId, "--status", "cancelled", "--json");
      expect(JSON.parse(ended.stdout)).toEqual({ run_id: runId, status: "CANCELLED" });
      expect((await gavotte("await", runId, "--status", "DONE")).code).toBe(2);
    },
    SLOW,
  );

  it(
    "exit 1 for a run that nobody knows",
    async () => {
      for (const command of ["status", "watch", "cancel"]) {
        const result = await gavotte(command, "no-such-run");
        expect(result).toMatchObject({ code: 1, stdout: "" });
        expect(result.stderr).toContain("GV_RUN_NOT_FOUND");
      }
    },
    SLOW,
  );
});

describe("dlq", () => {
  it(
    "lists a failed step, runs its workflow again, and marks the letter",
    async () => {
      const file = writeWorkflow("again", { type: "function", config: { function_name: "fails" } });
      await gavotte("run", file, "--functions", "functions.ts");
      const list = await gavotte("dlq", "list", "--json");
      const { dead_letters: letters } = JSON.parse(list.stdout) as {
        dead_letters: { id: string; kind: string; node: string }[];
      };
      const letter = letters.find(({ kind, node }) => kind === "token" && node === "only");
      const retried = await gavotte("dlq", "retry", letter?.id ?? "none");
      expect(retried.code).toBe(0);
      expect((await gavotte("dlq", "drop", letter?.id ?? "none")).stderr).toContain("is retried");
      const again = JSON.parse(
        (await gavotte("dlq", "show", letter?.id ?? "none", "--json")).stdout,
      );
      await gavotte("cancel", (again as { run_id: string }).run_id);
    },
    SLOW,
  );
});

describe("doctor", () => {
  it(
    "finds nothing wrong with a running stack",
    async () => {
      const result = await gavotte("doctor", "--json");
      const { checks } = JSON.parse(result.stdout) as { checks: { state: string }[] };
      expect(checks.filter(({ state }) => state === "bad")).toEqual([]);
      expect(result.code).toBe(0);
    },
    SLOW,
  );
});
