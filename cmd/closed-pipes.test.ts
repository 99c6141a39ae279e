/** Whoever reads a command's streams goes away: progress nobody reads is no failure. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startCli } from "./cli.fixture.ts";

const SLOW = 90_000;
let cwd = "";

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "gv-pipes-"));
  const functions = `import { existsSync } from "node:fs";
import { defineFunction } from "gavotte";
export const held = defineFunction("held", async () => {
  while (!existsSync("go")) await new Promise((done) => setTimeout(done, 20));
});`;
  writeFileSync(join(cwd, "functions.ts"), functions);
  const nodes = [
    { id: "a", type: "pass" },
    { id: "b", type: "function", config: { function_name: "held" } },
    { id: "c", type: "pass" },
  ];
  const edges = [
    { from: "a", to: "b" },
    { from: "b", to: "c" },
  ];
  writeFileSync(join(cwd, "held.json"), JSON.stringify({ name: "held", nodes, edges }));
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

it(
  "a run goes on to its end when nobody reads its progress any more",
  async () => {
    const run = startCli(cwd, ["run", "held.json", "--functions", "functions.ts", "--json"]);
    await run.said("a completed");
    run.child.stderr?.destroy();
    writeFileSync(join(cwd, "go"), "");
    const { code, stdout } = await run.ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ status: "COMPLETED" });
  },
  SLOW,
);

it(
  "dev stops in order when nobody reads its results any more",
  async () => {
    const dev = startCli(cwd, ["dev", "--gateway-listen", "127.0.0.1:0"]);
    dev.child.stdout?.destroy();
    const { code, stderr } = await dev.ended;
    expect([code, stderr]).toEqual([0, expect.stringContaining("stopping")]);
    expect(existsSync(join(cwd, ".gavotte", "stack.json"))).toBe(false);
  },
  SLOW,
);

it("a command that prints much ends with 0 when its reader has read enough", async () => {
  const nodes = Array.from({ length: 5000 }, (_, i) => ({ id: `n${i}`, type: "pass" }));
  writeFileSync(join(cwd, "long.json"), JSON.stringify({ name: "long", nodes }));
  const compile = startCli(cwd, ["compile", "long.json"]);
  compile.child.stdout?.once("data", () => compile.child.stdout?.destroy());
  expect(await compile.ended).toMatchObject({ code: 0, stderr: "" });
});

it("a result that could not be written is a failure", async () => {
  const full = startCli(cwd, ["compile", "held.json"], { stdout: "/dev/full" });
  const { code, stderr } = await full.ended;
  expect([code, stderr]).toEqual([1, expect.stringContaining("ENOSPC")]);
});
