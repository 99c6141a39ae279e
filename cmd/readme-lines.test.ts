/** Command lines of the READMEs as they are written, by a shell in the root of a clone. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const SLOW = 90_000;
const root = join(import.meta.dirname, "..");
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "gv-readme-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a shell makes of a line, with a stack of its own. */
function shell(line: string): { code: number | null; stdout: string; stderr: string } {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("GAVOTTE_"));
  const env = { ...Object.fromEntries(inherited), GAVOTTE_DATA_DIR: join(folder, "data") };
  const { status, stdout, stderr } = spawnSync("sh", ["-c", line], { cwd: root, env });
  return { code: status, stdout: stdout.toString(), stderr: stderr.toString() };
}

it("README.md's line says what stands below it", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const shown = /^\$ (\S+gavotte validate .*) (order\.yaml)\n([^]*?)```/m.exec(readme);
  const [, command = "", name = "", said = ""] = shown ?? [];
  const workflow = /```yaml\n([^]*?)```/.exec(readme)?.[1] ?? "";
  const file = join(folder, name);
  writeFileSync(file, workflow.replace("from: fetch", "from: fetsch"));
  const { code, stderr } = shell(`${command} ${file}`);
  expect(code, stderr).toBe(1);
  expect(stderr.replaceAll(file, name).trim()).toBe(said.trim());
});

it(
  "a line of test_data/README.md gives the output below it",
  () => {
    const readme = readFileSync(join(root, "test_data/README.md"), "utf8");
    const shown = /^ {4}(.*gavotte run test_data\/diamond.*)\n {4}(.*)$/m.exec(readme);
    const [, line = "", output = ""] = shown ?? [];
    const { code, stdout, stderr } = shell(line);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(output));
  },
  SLOW,
);
