/** The command line as a process: streams, exit codes, and what it does without any service. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXAMPLES, runCli, type CliResult } from "./cli.fixture.ts";

let cwd = "";
const gavotte = (args: string[], input?: string): Promise<CliResult> =>
  runCli(cwd, args, input === undefined ? {} : { input });

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "gv-cli-"));
});
afterAll(() => {
  rmSync(cwd, { recursive: true, force: true });
});

describe("validate", () => {
  it("is silent on stderr and exits 0 for a valid file", async () => {
    const result = await gavotte(["validate", join(EXAMPLES, "diamond.json")]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain("valid (4 nodes");
  });

  it("exits 1 with place and remedy for a file with errors, and checks the others too", async () => {
    const files = ["dialects/native/invalid/cycle.json", "dialects/native/invalid/truncated.json"];
    const result = await gavotte(["validate", ...files.map((file) => join(EXAMPLES, file))]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/error\[GV2006\].*\n.*--> .*cycle\.json:11:5\n/);
    expect(result.stderr).toMatch(/error\[GV1003\].*\n.*--> .*truncated\.json:5:1\n/);
  });

  it("exits 2 for a file that is not there", async () => {
    const result = await gavotte(["validate", "no.json"]);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain("no.json: there is no such file");
  });

  it("prints one JSON document with --json", async () => {
    const result = await gavotte([
      "validate",
      "--json",
      join(EXAMPLES, "dialects/native/invalid/cycle.json"),
    ]);
    const document = JSON.parse(result.stdout) as { valid: boolean; files: object[] };
    expect(result.code).toBe(1);
    expect(document.valid).toBe(false);
    expect(document.files[0]).toMatchObject({ diagnostics: [{ code: "GV2006" }] });
  });

  it("reads standard input for -", async () => {
    const text = readFileSync(join(EXAMPLES, "sequence.yaml"), "utf8");
    expect(await gavotte(["validate", "-"], text)).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("validate --format", () => {
  const file = join(EXAMPLES, "dialects/native/invalid/unknown-property.json");

  it("short tells each in a line that editors read", async () => {
    const { code, stderr } = await gavotte(["validate", "--format", "short", file]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^.*unknown-property\.json:4:71 error GV1011: unknown property/);
  });

  it("json is the same as --json, with ranges and fixes", async () => {
    const { stdout } = await gavotte(["validate", "--format", "json", file]);
    expect(stdout).toBe((await gavotte(["validate", "--json", file])).stdout);
    const place = { line: 4, end_line: 4 };
    const fix = { ...place, column: 72, end_column: 80, text: "timeout_ms" };
    expect(JSON.parse(stdout)).toMatchObject({
      valid: false,
      files: [{ diagnostics: [{ ...place, column: 71, end_column: 81, fix }] }],
    });
  });

  it("sarif is a log on stdout", async () => {
    const { code, stdout } = await gavotte(["validate", "--format", "sarif", file]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      version: "2.1.0",
      runs: [{ results: [{ ruleId: "GV1011" }] }],
    });
  });

  it("of another name is wrong usage", async () => {
    const { code, stderr } = await gavotte(["validate", "--format", "xml", file]);
    expect(code).toBe(2);
    expect(stderr).toContain("there is human, short, json, sarif");
  });
});

describe("explain", () => {
  it("tells what a code means, with examples, in any case of letters", async () => {
    const { code, stdout } = await gavotte(["explain", "gv1011"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^# GV1011: unknown property\n[^]*Wrong:[^]*time_out[^]*Right:/);
  });

  it("lists all codes without one", async () => {
    const { stdout } = await gavotte(["explain", "--json"]);
    const { codes } = JSON.parse(stdout) as { codes: object[] };
    expect(codes).toContainEqual({ code: "GV2006", severity: "error", title: expect.any(String) });
  });

  it("knows the code that was probably meant", async () => {
    const { code, stderr } = await gavotte(["explain", "GV101l"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/did you mean GV101.\?/);
  });
});

describe("compile", () => {
  it("prints all of a long IR into a pipe", async () => {
    const nodes = Array.from({ length: 2000 }, (_, i) => ({
      ...{ id: `n${i}`, type: "function", config: { function_name: "builtin.echo" } },
    }));
    const edges = nodes.slice(1).map((node, i) => ({ from: `n${i}`, to: node.id }));
    writeFileSync(
      join(cwd, "long.json"),
      JSON.stringify({ name: "long", version: "1.0.0", nodes, edges }),
    );
    const result = await gavotte(["compile", "long.json"]);
    expect(result.code).toBe(0);
    expect((JSON.parse(result.stdout) as { nodes: object[] }).nodes).toHaveLength(2000);
  });

  it("writes a file with --out and explains with --explain", async () => {
    const args = ["compile", join(EXAMPLES, "diamond.json"), "--out", "ir.json", "--explain"];
    const result = await gavotte(args);
    expect(result.stdout).toContain("join all of 2");
    const ir = JSON.parse(readFileSync(join(cwd, "ir.json"), "utf8")) as { name: string };
    expect(ir.name).toBe("diamond");
  });

  it("explains which nodes need no step of their own", async () => {
    const call = { type: "function", config: { function_name: "builtin.echo" } };
    const nodes = [
      { id: "a", ...call },
      { id: "b", type: "noop" },
      { id: "c", ...call, pure: true },
    ];
    const edges = ["ab", "bc"].map(([from, to]) => ({ from, to }));
    writeFileSync(join(cwd, "pure.json"), JSON.stringify({ name: "pure", nodes, edges }));
    const { stdout } = await gavotte([
      "compile",
      "pure.json",
      "--explain",
      "--out",
      "pure-ir.json",
    ]);
    expect(stdout).toMatch(/ b +parallel +in the step before /);
    expect(stdout).toMatch(
      / c +function +terminal, pure: in the step before, if it answers at once/,
    );
  });
});

describe("wrong usage exits 2", () => {
  it("for an unknown command, with the one that was probably meant", async () => {
    const result = await gavotte(["vaildate", "a.json"]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain("Did you mean validate?");
  });

  it.each([
    [["validate"], "missing required argument"],
    [["run", "a.json", "--stubb"], "Did you mean --stub?"],
    [["runs", "--limit", "none"], "--limit must be a whole number"],
    [["await", "RUN", "--status", "COMPLETED", "--timeout", "99999999999d"], "at most 100 years"],
    [["runs", "--status", "complete"], "did you mean COMPLETED?"],
    [["config", "--log-level", "loud"], "must be one of trace"],
  ])("for %j", async (args, expected) => {
    const result = await gavotte(args);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain(expected);
  });

  it("for functions that nothing defines, before anything is started", async () => {
    const result = await gavotte(["run", join(EXAMPLES, "pipeline/workflow.yaml"), "--json"]);
    expect(result.code).toBe(2);
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "GV_FUNCTIONS_INVALID" } });
    expect(result.stderr).toContain("--functions");
  });

  it("for input that is not JSON", async () => {
    const result = await gavotte(["run", join(EXAMPLES, "diamond.json"), "--input", "{n: 1}"]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain("GV_BAD_INPUT");
  });

  it("for asking about runs where no services are", async () => {
    const result = await gavotte(["runs"]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain("holds no embedded stack yet");
  });
});

describe("services that are away exit 3", () => {
  it("with the name of the service and no password", async () => {
    const urls = [
      "--redis-url",
      "redis://:secret@127.0.0.1:1",
      "--database-url",
      "postgres://u:secret@127.0.0.1:1/x",
    ];
    const result = await gavotte(["runs", ...urls]);
    expect(result.code).toBe(3);
    expect(result.stderr).toContain("GV_DATABASE_UNAVAILABLE");
    expect(result.stderr).not.toContain("secret");
  });
});

describe("config", () => {
  it("prints every option with its origin, passwords masked", async () => {
    const urls = ["--redis-url", "redis://:secret@a", "--database-url", "postgres://u:secret@a/x"];
    const result = await gavotte(["config", "--json", ...urls]);
    const { options } = JSON.parse(result.stdout) as { options: { [name: string]: object } };
    expect(options.redis_url).toMatchObject({ value: "redis://***@a", origin: "flag --redis-url" });
    expect(options.lease_ms).toMatchObject({ value: 30_000, origin: "default" });
    expect(result.stdout).not.toContain("secret");
  });
});
