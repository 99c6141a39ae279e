import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compile, formatDiagnostic } from "../compiler/index.ts";
import type { Ir, IrNode, Json } from "../compiler/index.ts";
import { interpret } from "../compiler/reference/index.ts";
import { oracleHandlers } from "../test/generate/builtins.ts";
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

/** Each command line of the README that its output follows. */
function shown(): { file: string; input: Json; output: Json }[] {
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const line = /^ {4}\.\/gavotte run test_data\/(\S+)(?: --input '(.*)')?\n {4}(\{.*\})$/gm;
  return [...readme.matchAll(line)].map(([, file = "", input = "{}", output = ""]) => ({
    ...{ file, input: JSON.parse(input) as Json, output: JSON.parse(output) as Json },
  }));
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

  it.each(shown())("$file gives what the README says: $output", ({ file, input, output }) => {
    const { ir } = compiled(file);
    const diamond = compiled("diamond.json").ir;
    if (!ir || !diamond) throw new Error(`${file} does not compile`);
    const workflows = { diamond, "diamond@1.0.0": diamond };
    const result = interpret(ir, input, { handlers: oracleHandlers(), workflows });
    expect(result.error).toBeUndefined();
    expect(result.output).toEqual(output);
  });

  it("are all in the README", () => {
    const readme = readFileSync(join(folder, "README.md"), "utf8");
    for (const file of files) expect(readme).toContain(`./gavotte run test_data/${file}`);
  });
});
