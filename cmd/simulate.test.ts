/**
 * `simulate`, `what-if`, `test` and `schema`: what they print, and their exit codes. The commands as
 * main.ts makes them, in this process; one of them as a process of its own.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXAMPLES, runCli } from "./cli.fixture.ts";
import { exitCodeOf } from "./exit.ts";
import type { Flags } from "./define.ts";
import { addFileCommands } from "./file-commands.ts";
import { Output } from "./output.ts";

const WORKFLOW = `name: order
nodes:
  - { id: fetch, type: function, config: { function_name: orders.fetch } }
  - { id: score, type: function, queue: gpu, config: { function_name: ml.score } }
edges: [{ from: fetch, to: score }]
`;
const MOCKS = `nodes:
  fetch: { output: { n: 1 }, duration: 100 }
  score: { output: { score: "\${data.n + 1}" }, duration: 400 }
`;
const CASES = `workflow: order.yaml
mocks: { nodes: { fetch: { output: { n: 1 } }, score: { output: { rows: [1, 2] } } } }
cases:
  - { name: right, expect: { output: { rows: [1, 2] } } }
`;

let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gv-simulate-"));
  await mkdir(join(folder, "tests"));
  await Promise.all([
    writeFile(join(folder, "order.yaml"), WORKFLOW),
    writeFile(join(folder, "mocks.yaml"), MOCKS),
    writeFile(join(folder, "bad-mocks.yaml"), MOCKS.replace("fetch:", "fetsch:")),
    writeFile(join(folder, "tests", "good.test.yaml"), CASES.replace("order.", "../order.")),
    writeFile(join(folder, "bad.test.yaml"), CASES.replace("[1, 2] } } }\n", "[1, 3] } } }\n")),
    writeFile(join(folder, "broken.test.yaml"), CASES.replace("cases:", "casse:")),
  ]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (...args: string[]) => runIn(folder, args);

async function runIn(cwd: string, args: string[]) {
  const said = { stdout: "", stderr: "" };
  const output = new Output({
    stdout: { write: (text) => (said.stdout += text) },
    stderr: { write: (text) => (said.stderr += text) },
  });
  const context = {
    ...{
      output,
      cwd,
      signal: new AbortController().signal,
      readStdin: async () => new Uint8Array(),
    },
    config: () => Promise.reject(new Error("no command here needs a configuration")),
  };
  let code: number | null = null;
  const program = new Command();
  addFileCommands(program, [], (parent, usage, _about, _options, run) => {
    const command = parent.command(usage).option("--json");
    return command.action(async () => {
      const flags = command.opts<Flags>();
      output.json = flags["json"] === true;
      try {
        code = await run(context, command.args, flags);
      } catch (error) {
        output.error(error);
        code = exitCodeOf(error);
      }
    });
  });
  await program.parseAsync(args, { from: "user" });
  return { code, ...said };
}

describe("gavotte simulate", () => {
  it("prints the trace with its edges, the path, and what was covered", async () => {
    const { code, stdout } = await run("simulate", "order.yaml", "--mock", "mocks.yaml");
    expect(code).toBe(0);
    expect(stdout.split("\n")).toEqual([
      "0..100 ms    fetch  completed -> score",
      "100..500 ms  score  completed",
      "",
      "COMPLETED after 500 ms",
      "path      fetch > score",
      "covered   2 of 2 nodes, 1 of 1 edges",
      'output    {"score":2}',
      "",
    ]);
  });

  it("prints all of it as one document with --json", async () => {
    const args = ["--mock", "mocks.yaml", "--interleavings", "all", "--json"];
    const { stdout } = await run("simulate", "order.yaml", ...args);
    const found = JSON.parse(stdout);
    expect(found).toMatchObject({
      ...{ status: "COMPLETED", ms: 500, path: ["fetch", "score"] },
      coverage: { edges: [{ from: "fetch", to: "score", taken: 1 }] },
      interleavings: { tried: 1, isComplete: true, outcomes: [{ count: 1 }] },
    });
    expect(found.trace[1]).toMatchObject({ edges: [{ to: "score", value: "live" }], at: 100 });
    expect(found.steps[1]).toMatchObject({ node: "score", queue: "gpu", from: 100, to: 500 });
  });

  it("asks for the mocks that are missing, with a file to begin with", async () => {
    const { code, stderr } = await run("simulate", "order.yaml");
    expect(code).toBe(2);
    expect(stderr).toContain("have no mock: fetch, score");
    expect(stderr).toContain("nodes:\n  fetch: { output: {} }   # orders.fetch");
  });

  it("refuses an input that no run would be accepted with", async () => {
    const file = join(EXAMPLES, "diamond.json");
    const { code, stderr } = await run("simulate", file, "--input", '{"n": "one"}');
    expect(code).toBe(2);
    expect(stderr).toContain("the input does not fit input_schema");
  });

  it("shows what is wrong with mocks in their lines", async () => {
    const { code, stderr } = await run("simulate", "order.yaml", "--mock", "bad-mocks.yaml");
    expect(code).toBe(2);
    expect(stderr).toContain("--> bad-mocks.yaml:2:3");
    expect(stderr).toContain("^^^^^^");
    expect(stderr).toContain("did you mean `fetch`?");
    const json = await run("simulate", "order.yaml", "--mock", "bad-mocks.yaml", "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({
      error: { code: "GV_BAD_INPUT", details: { diagnostics: [{ line: 2, column: 3 }] } },
    });
  });

  it("starts in the middle with what it is given, and refuses where something is missing", async () => {
    const file = join(EXAMPLES, "diamond.json");
    const at = ["simulate", file, "--start-at"];
    const value = '{"left":{"sum":3},"right":{"sum":5}}';
    const join_ = await run(...at, "join", "--value", value, "--json");
    expect(JSON.parse(join_.stdout)).toMatchObject({ output: { total: 8 }, path: ["join"] });
    const refused = await run(...at, "left", "--value", "{}");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('a run cannot start at "left"');
    expect(refused.stderr).toContain('"join" waits for "right"');
    const given = await run(...at, "left", "--given", '{"right":{"sum":5}}', "--json");
    expect(JSON.parse(given.stdout)).toMatchObject({ output: { total: 7 } });
    await writeFile(join(folder, "right.yaml"), "nodes: { right: { output: { sum: 50 } } }\n");
    const mocked = await run(...at, "left", "--given", "mocks", "--mock", "right.yaml", "--json");
    expect(JSON.parse(mocked.stdout)).toMatchObject({ output: { total: 52 } });
  });
});

describe("gavotte what-if", () => {
  it("compares numbers of workers, and names the bottleneck", async () => {
    const load = ["--runs", "50", "--rate", "4", "--arrivals", "even", "--mock", "mocks.yaml"];
    const workers = ["--workers", "1", "gpu=2,default=1"];
    const text = await run("what-if", "order.yaml", ...load, ...workers);
    expect(text.code).toBe(0);
    expect(text.stdout).toContain("WORKERS          MAKESPAN");
    expect(text.stdout).toContain('bottleneck  workers of "default": its one worker is busy 100 %');
    const json = await run("what-if", "order.yaml", ...load, ...workers, "--json");
    const { scenarios } = JSON.parse(json.stdout);
    // One worker has 500 ms of work a run; with two for the queue nothing ever waits.
    expect(scenarios[0]).toMatchObject({ workers: "1", makespan_ms: 50 * 500 });
    expect(scenarios[1]).toMatchObject({
      ...{ makespan_ms: 49 * 250 + 500, latency_ms: { p50: 500, p99: 500 } },
      bottleneck: { kind: "work", name: "score" },
    });
  });

  it("refuses queues and nodes that there are not", async () => {
    const wrong = await run("what-if", "order.yaml", "--mock", "mocks.yaml", "--workers", "gpi=2");
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("did you mean gpu?") });
  });
});

describe("gavotte test", () => {
  it("ends with 0 if all pass, 1 if one fails, 2 if a file is broken", async () => {
    const good = await run("test", "tests");
    expect(good).toMatchObject({ code: 0, stdout: expect.stringContaining("1 passed, 0 failed") });
    const bad = await run("test", "bad.test.yaml", "tests/good.test.yaml");
    expect(bad.code).toBe(1);
    expect(bad.stdout).toContain("output.rows[1]: expected 3, found 2");
    expect(bad.stdout).toContain("1 passed, 1 failed");
    const broken = await runCli(folder, ["test", "*.test.yaml", "tests", "--junit", "report.xml"]);
    expect(broken.code).toBe(2);
    expect(broken.stderr).toContain("--> broken.test.yaml:3:1");
    expect(broken.stdout).toContain("1 passed, 1 failed, 1 files broken");
    const xml = await readFile(join(folder, "report.xml"), "utf8");
    expect(xml).toContain('<testsuite name="bad.test.yaml" tests="1" failures="1" errors="0"');
    expect(xml).toContain("<error ");
  });

  it("runs only the cases that --filter names", async () => {
    const args = ["test", join(EXAMPLES, "cases"), "--filter", "PARCEL", "--json"];
    const { code, stdout } = await run(...args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ passed: 1, failed: 0, broken: 0 });
    const none = await run("test", "tests", "--filter", "nothing like it");
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining("check --filter") });
  });

  it("passes every example of this repository, each several cases", async () => {
    const { code, stdout } = await runIn(EXAMPLES, ["test", "cases", "--json"]);
    const { passed, files } = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(files.length).toBeGreaterThanOrEqual(5);
    expect(passed).toBeGreaterThanOrEqual(20);
  });
});

describe("gavotte schema", () => {
  it("mocks is the file that is shipped", async () => {
    const { stdout } = await run("schema", "mocks");
    const shipped = new URL("../schemas/mocks.schema.json", import.meta.url);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(await readFile(shipped, "utf8")));
    expect(stdout).not.toContain("x-expect");
  });
});
