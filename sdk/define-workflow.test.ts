import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, expect, it } from "vitest";
import { parse } from "yaml";
import { compile } from "../compiler/index.ts";
import { defineWorkflow } from "./define-workflow.ts";

const examples = fileURLToPath(new URL("../test_data/", import.meta.url));
const types = fileURLToPath(new URL("./define-workflow.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "gavotte-types-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What TypeScript says of a module that defines these workflows. */
function typeErrors(workflows: readonly unknown[]): string[] {
  const path = join(folder, "workflows.ts");
  const lines = workflows.map((workflow) => `defineWorkflow(${JSON.stringify(workflow)});`);
  writeFileSync(path, [`import { defineWorkflow } from "${types}";`, ...lines].join("\n"));
  const program = ts.createProgram([path], {
    ...{ strict: true, noEmit: true, exactOptionalPropertyTypes: true, skipLibCheck: true },
    ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023 },
    ...{ allowImportingTsExtensions: true, types: [] },
  });
  return ts.getPreEmitDiagnostics(program).map(({ start, messageText }) => {
    const line = readFileSync(path, "utf8").slice(0, start).split("\n").length - 2;
    return `${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
}

it("every example has the type of a workflow", () => {
  const files = readdirSync(examples).filter((name) => /\.(json|yaml)$/.test(name));
  const workflows = files.map(
    (name) => parse(readFileSync(join(examples, name), "utf8")) as unknown,
  );
  expect(typeErrors(workflows)).toEqual([]);
});

it("a misspelt type, property or config does not", () => {
  const of = (node: object): object => ({ name: "w", nodes: [{ id: "a", ...node }] });
  const errors = typeErrors([
    of({ type: "functoin", config: { function_name: "f" } }),
    of({ type: "noop", time_out: 5 }),
    of({ type: "delay", config: { delay_ms: true } }),
    of({ type: "http", config: {} }),
  ]);
  expect(errors.map((error) => error.slice(0, 2))).toEqual(["0:", "1:", "2:", "3:"]);
});

it("what is defined is compiled as it is", () => {
  const document = defineWorkflow({
    name: "greet",
    nodes: [{ id: "hello", type: "function", config: { function_name: "hello", to: "you" } }],
  });
  expect(compile({ document }).diagnostics).toEqual([]);
});
