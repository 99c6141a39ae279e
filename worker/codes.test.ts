/**
 * The table of codes in docs/node-kinds.md against the codes that executions and runs can end with: a
 * code that is added has to be added there.
 */
import { readFileSync } from "node:fs";
import { globSync } from "tinyglobby";
import { expect, it } from "vitest";

const root = new URL("../", import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), "utf8");

/** Node's own: a thread's, which becomes another code. */
const NOT_OURS = new Set(["ERR_WORKER_OUT_OF_MEMORY"]);

/** Names in quotes of at least two words, and whatever stands where a code does. */
function codesOf(text: string): string[] {
  const named = text.matchAll(/"([A-Z]+(?:_[A-Z]+)+)"/g);
  const given = text.matchAll(/(?:ExecutionError\(\s*|\bcode\b(?:"?:| =) ?)"([A-Z][A-Z_]*)"/g);
  return [...named, ...given].map(([, code = ""]) => code);
}

function inSources(): Set<string> {
  const sources = ["worker/**/*.ts", "sdk/{define-function,blobs}.ts", "scripts/**/*.lua"];
  const more = ["supervisor/repair-tries.ts", "worker/circuit*.ts"];
  const ignore = ["**/*.test.ts", "**/*.fixture.ts"];
  const files = globSync([...sources, ...more], { ignore, cwd: root.pathname });
  const codes = files.flatMap((file) => {
    const text = read(file);
    return file.endsWith(".lua")
      ? [...text.matchAll(/"code":"([A-Z_]+)"/g)].map(([, code = ""]) => code)
      : codesOf(text);
  });
  return new Set(codes.filter((code) => !code.startsWith("GV_") && !NOT_OURS.has(code)));
}

it("docs/node-kinds.md has every code that an execution or a run can end with, and no other", () => {
  const table = /\| kind \| fails with \|\n([^]*?)\n\n/.exec(read("docs/node-kinds.md"))?.[1] ?? "";
  const told = [...table.matchAll(/`([A-Z][A-Z_]*)`/g)].map(([, code = ""]) => code);
  expect([...new Set(told)].toSorted()).toEqual([...inSources()].toSorted());
});
