/** docs/simulation.md: its workflow, mocks and test file are played, and give what the page shows. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { Ajv2020 } from "ajv/dist/2020.js";
import { runCli } from "./cli.fixture.ts";

const SLOW = 90_000;
const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/simulation.md"), "utf8");
const blocks = [...page.matchAll(/```yaml\n([^]*?)```/g)].map(([, text = ""]) => text);
let cwd = "";

/** The arguments of a command that the page shows, and what stands below it. */
function shown(command: string): { args: string[]; output: string } {
  const [line = "", ...rest] = (page.split(`    $ gavotte ${command}`)[1] ?? "").split("\n");
  const end = rest.findIndex((text) => text !== "" && !text.startsWith("    "));
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, word]) => quoted ?? word ?? "",
  );
  const output = rest.slice(0, end).map((text) => text.slice(4));
  return { args: [command, ...words], output: output.join("\n").trim() };
}

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "gv-page-"));
  for (const text of blocks) {
    const name = /^# ([\w.]+\.yaml)/.exec(text)?.[1];
    if (name !== undefined) writeFileSync(join(cwd, name), text);
  }
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

it.each(["simulate", "what-if"])(
  "gavotte %s gives what the page shows",
  async (command) => {
    const { args, output } = shown(command);
    const { stdout, stderr, code } = await runCli(cwd, args);
    expect(code, stderr).toBe(0);
    const plain = (text: string): string => text.replace(/ +$/gm, "").trim();
    expect(plain(stdout).slice(0, output.length)).toBe(plain(output));
  },
  SLOW,
);

it(
  "gavotte test passes the test file of the page",
  async () => {
    const { stdout, stderr, code } = await runCli(cwd, ["test", "order.test.yaml"]);
    expect(code, `${stdout}${stderr}`).toBe(0);
    expect(stdout).toContain("2 passed, 0 failed");
  },
  SLOW,
);

it("what the page says of mocks for other workflows fits their schema", () => {
  const schema = JSON.parse(
    readFileSync(join(root, "schemas/mocks.schema.json"), "utf8"),
  ) as object;
  const validate = new Ajv2020({ strict: false }).compile(schema);
  const others = blocks.filter((text) => text.includes("workflows:"));
  expect(others).toHaveLength(1);
  expect(validate(parse(others[0] ?? "")), JSON.stringify(validate.errors)).toBe(true);
});
