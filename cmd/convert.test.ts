/** `gavotte convert` and `--dialect` as a process. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXAMPLES, runCli, type CliResult } from "./cli.fixture.ts";

const DIALECTS = join(EXAMPLES, "dialects");
let cwd = "";
const gavotte = (...args: string[]): Promise<CliResult> => runCli(cwd, args, {});

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "gv-convert-"));
});
afterAll(() => {
  rmSync(cwd, { recursive: true, force: true });
});

async function hashOf(file: string): Promise<unknown> {
  const { stdout } = await gavotte("compile", "--json", file);
  return (JSON.parse(stdout) as { hash: unknown }).hash;
}

describe("convert", () => {
  it("writes a native file that is the same workflow", async () => {
    const source = join(DIALECTS, "asl/valid/job-poller.asl.json");
    const { code, stdout, stderr } = await gavotte(
      "convert",
      source,
      "--to",
      "yaml",
      "--out",
      "job.yaml",
    );
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(readFileSync(join(cwd, "job.yaml"), "utf8")).toContain("Submit_Job");
    expect(await hashOf("job.yaml")).toBe(await hashOf(source));
  });

  it("tells its losses on stderr, and with --json", async () => {
    const source = join(DIALECTS, "states/valid/leads.yaml");
    const { code, stderr } = await gavotte("convert", source);
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning\[GV5002\]: `triggers` have no equal/);
    expect(stderr).toMatch(/warning\[GV5002\]: 2 comments/);
    const { stdout } = await gavotte("convert", "--json", source);
    const document = JSON.parse(stdout) as { dialect: string; losses: unknown[]; document: object };
    expect(document).toMatchObject({ dialect: "states", document: { name: "leads" } });
    expect(document.losses).toMatchObject([{ line: 1 }, { line: 4, pointer: "/triggers" }]);
  });

  it("keeps a native YAML file's comments", async () => {
    const { stdout } = await gavotte("convert", join(EXAMPLES, "sequence.yaml"), "--to", "yaml");
    expect(stdout).toMatch(/^# Four steps in a row/);
  });

  it("writes nothing of a file with errors", async () => {
    const file = join(DIALECTS, "asl/invalid/services.asl.json");
    const { code, stdout, stderr } = await gavotte("convert", file);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("the service `sns:publish` is not supported");
    expect((await gavotte("convert", file, "--to", "xml")).code).toBe(2);
  });
});

describe("--dialect", () => {
  it("says the dialect, and is refused where there is none of that name", async () => {
    const file = join(DIALECTS, "steps/valid/plain.yaml");
    expect((await gavotte("validate", "--dialect", "steps", file)).code).toBe(0);
    const native = await gavotte("validate", "--dialect", "native", file);
    expect(native.stderr).toContain("unknown property `steps`");
    const unknown = await gavotte("validate", "--dialect", "bpmn", file);
    expect(unknown).toMatchObject({ code: 2 });
    expect(unknown.stderr).toContain("there is native, steps, states, graph, asl");
  });
});
