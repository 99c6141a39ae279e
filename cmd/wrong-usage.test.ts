/** Wrong arguments are told before anything is asked of a service, each with what to do. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli } from "./cli.fixture.ts";

let cwd = "";
const file = "pass.json";
const bad = "bad.json";

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "gv-usage-"));
  const nodes = [{ id: "a", type: "pass" }];
  writeFileSync(join(cwd, file), JSON.stringify({ name: "passes", nodes }));
  writeFileSync(
    join(cwd, bad),
    JSON.stringify({ name: "bad", nodes: [{ id: "a", type: "none" }] }),
  );
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

it.each([
  ["a priority", ["submit", file, "--priority", "hihg"], /--priority .*did you mean high/],
  ["a run's id", ["submit", file, "--run-id", "foo"], /--run-id takes a UUID/],
  ["a value given twice", ["run", file, "--from", "a", "--set", "b=1", "b=2"], /b has been given/],
  ["an output", ["node", "complete", "r", "n", "--output", "bad"], /--output '"text"'/],
  ["two workflows to draw", ["graph", file, "--run", "r"], /leave pass.json out/],
  [
    "a value with no flag",
    ["signal", "r", "s", "{}"],
    /signal <run> <name>; gavotte signal --help/,
  ],
  ["an argument left out", ["dlq", "show"], /\(gavotte dlq show <.*; gavotte dlq show --help/],
  [
    "an unknown flag",
    ["run", file, "--stbu"],
    /mean --stub.*\(gavotte run <file>; gavotte run --help/s,
  ],
  ["an unknown command", ["rnu", file], /gavotte --help shows the commands/],
  ["a file without its @", ["run", file, "--input", file], /read with @: --input @pass.json/],
  ["a time of ages", ["circuits", "open", "x", "--for", "99999999999d"], /at most 100 years/],
])("%s", async (_, args, expected) => {
  const { code, stderr } = await runCli(cwd, args);
  expect([code, stderr]).toEqual([2, expect.stringMatching(expected)]);
});

it("a data folder that cannot be made is a stack that failed", async () => {
  const { code, stdout } = await runCli(cwd, ["run", file, "--data-dir", `${file}/data`, "--json"]);
  expect(code).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "GV_STACK_FAILED" } });
});

it("publish tells programs, too, what is wrong with which file", async () => {
  const { code, stdout } = await runCli(cwd, ["publish", file, bad, "--json"]);
  expect(code).toBe(1);
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: object[] };
  expect(diagnostics).toContainEqual(expect.objectContaining({ file: bad, severity: "error" }));
});
