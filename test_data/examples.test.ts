import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compile, formatDiagnostic } from "../compiler/index.ts";
import type { Ir, IrNode } from "../compiler/index.ts";
import { FunctionRegistry, loadFunctions } from "../worker/registry.ts";

const folder = import.meta.dirname;
const pipeline = join("pipeline", "workflow.yaml");
const files = readdirSync(folder).filter((name) => /\.(json|yaml)$/.test(name));

function compiled(file: string) {
  return compile({ file, text: readFileSync(join(folder, file), "utf8") });
}

function nodesOf(ir: Ir | null | undefined): IrNode[] {
  return (ir?.nodes ?? []).flatMap((node) => [node, ...nodesOf(node.body)]);
}

describe("the examples", () => {
  it.each([...files, pipeline])("%s compiles without even a warning", (file) => {
    expect(compiled(file).diagnostics.map((found) => formatDiagnostic(found))).toEqual([]);
  });

  it("need no functions but the built-in ones and those of their own module", async () => {
    const module = join(folder, "pipeline", "functions.ts");
    const registry = new FunctionRegistry(await loadFunctions(module));
    for (const file of [...files, pipeline]) {
      const names = nodesOf(compiled(file).ir).map((node) => node.config["function_name"]);
      const missing = names.filter((name) => typeof name === "string" && !registry.has(name));
      expect(missing, file).toEqual([]);
    }
  });

  it("are all in the README", () => {
    const readme = readFileSync(join(folder, "README.md"), "utf8");
    for (const file of files) expect(readme).toContain(`npx gavotte run test_data/${file}`);
  });
});
