/** docs/rest.md does what it says: its shell examples are run as they stand, with their answers. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEngine, type Engine } from "./harness/engine.ts";

const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/rest.md"), "utf8");
const document = JSON.parse(readFileSync(join(root, "schemas/openapi.json"), "utf8")) as {
  paths: { [path: string]: object };
};
const examples = [...page.matchAll(/```sh\n([^]*?)```\n\n```json\n([^]*?)```/g)].map(
  ([, script = "", answer = ""]) => ({ script, answer: answer.trim() }),
);

let engine: Engine;
let folder = "";

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
  folder = mkdtempSync(join(tmpdir(), "gv-rest-"));
});
afterAll(async () => {
  await engine.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Whether a text is another in which `…` stands for anything. */
function fits(text: string, pattern: string): boolean {
  const parts = pattern.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^]*?")}$`).test(text);
}

describe("the examples of docs/rest.md", () => {
  it("answer as the page says, one after the other in one shell", async () => {
    expect(examples.length).toBeGreaterThan(5);
    expect(page.match(/```sh/g)).toHaveLength(examples.length);
    const scripts = examples.map(({ script }) => `${script}\nprintf '\\036'`);
    const { stdout } = await promisify(execFile)("sh", ["-euc", scripts.join("\n")], {
      cwd: folder,
      env: { ...process.env, GATEWAY: engine.gateway.url() },
    });
    const answers = stdout.split("\x1e").slice(0, -1);
    answers.forEach((answer, i) => {
      const { answer: said = "" } = examples[i] ?? {};
      expect(fits(answer.trim(), said), `${answer}\nis not\n${said}`).toBe(true);
    });
    expect(answers).toHaveLength(examples.length);
  });

  it("are of the addresses that the gateway has, all of which the page names", () => {
    const rows = [...page.matchAll(/^\| (`(?:GET|POST) .*?) \|/gm)].map(([, cell = ""]) => cell);
    const named = rows.flatMap((cell) => [...cell.matchAll(/`(GET|POST) ([^`?]+)/g)]);
    const paths = named.map(([, , path = ""]) =>
      path.replace("ID", "{id}").replace("TOKEN", "{token}").replace("NAME", "{name}"),
    );
    const all = [...Object.keys(document.paths), "/api/v1/openapi.json"];
    expect([...new Set(paths)].sort()).toEqual(all.sort());
  });
});
