/**
 * CEL's own conformance tests, as a ruler for the library and for our changes to it.
 *
 * Not all pass: the table next to this file says how many do, per file of the suite, so that a new
 * version of the library or a change of ours shows in review (`vitest -u` rewrites the table).
 * Tests about protobuf messages are left out; our values are JSON.
 */
import { tests as conformance } from "@bufbuild/cel-spec/testdata/conformance.js";
import type { SerializedIncrementalTestSuite } from "@bufbuild/cel-spec/testdata/tests.js";
import { UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { describe, expect, it } from "vitest";
import { compileExpression } from "./compile.ts";
import { EvaluationError } from "./errors.ts";
import { equalValues } from "./equality.ts";
import type { Vars } from "./types.ts";

const FILES_ABOUT_MESSAGES = new Set([
  ...["proto2", "proto3", "proto2_ext", "enums", "wrappers", "dynamic", "type_deductions"],
  "unknowns",
]);

/** A test as the package writes it: protobuf JSON. */
interface SpecTest {
  expr: string;
  container?: string;
  value?: SpecValue;
  evalError?: unknown;
  bindings?: { [name: string]: { value?: SpecValue } };
}

interface SpecValue {
  [kind: string]: unknown;
}

class AboutMessagesError extends Error {}

function testsOf(suite: SerializedIncrementalTestSuite): SpecTest[] {
  const own = (suite.tests ?? []).map((test) => test.original as unknown as SpecTest);
  return [...own, ...(suite.suites ?? []).flatMap(testsOf)];
}

function fromSpec(value: SpecValue): unknown {
  const [kind, content] = Object.entries(value)[0] ?? [];
  switch (kind) {
    case "int64Value":
      return BigInt(content as string);
    case "uint64Value":
      return new UnsignedInt(BigInt(content as string));
    case "doubleValue":
      return Number(content);
    case "nullValue":
      return null;
    case "boolValue":
    case "stringValue":
    case "typeValue":
      return content;
    case "bytesValue":
      return content;
    case "listValue":
      return ((content as { values?: SpecValue[] }).values ?? []).map(fromSpec);
    case "mapValue":
      return mapFromSpec(content as { entries?: { key: SpecValue; value: SpecValue }[] });
    default:
      throw new AboutMessagesError(kind);
  }
}

function mapFromSpec(map: { entries?: { key: SpecValue; value: SpecValue }[] }): unknown {
  const entries = map.entries ?? [];
  return Object.fromEntries(entries.map((e) => [String(fromSpec(e.key)), fromSpec(e.value)]));
}

type Outcome = "passed" | "failed" | "left out";

function outcomeOf(test: SpecTest): Outcome {
  if (/TestAllTypes|google\.protobuf\.(?!Timestamp|Duration)/.test(test.expr)) return "left out";
  try {
    const expected = test.value && fromSpec(test.value);
    const bindings = Object.entries(test.bindings ?? {}).map(([name, binding]) => [
      name,
      fromSpec(binding.value ?? {}),
    ]);
    return holds(test, expected, Object.fromEntries(bindings) as Vars) ? "passed" : "failed";
  } catch (error) {
    if (error instanceof AboutMessagesError) return "left out";
    throw error;
  }
}

function holds(test: SpecTest, expected: unknown, vars: Vars): boolean {
  try {
    const value = compileExpression(test.expr).evaluate(vars);
    return test.evalError === undefined && equalValues(value, expected ?? true);
  } catch (error) {
    if (test.evalError !== undefined) return true;
    const isNotFinite = typeof expected === "number" && !Number.isFinite(expected);
    return isNotFinite && error instanceof EvaluationError && /finite/.test(error.message);
  }
}

describe("conformance", () => {
  it("passes as many tests of the CEL suite as the table says", async () => {
    const table: { [file: string]: { passed: number; of: number } } = {};
    for (const file of conformance.suites ?? []) {
      if (FILES_ABOUT_MESSAGES.has(file.name)) continue;
      const outcomes = testsOf(file).map(outcomeOf);
      const passed = outcomes.filter((outcome) => outcome === "passed").length;
      const leftOut = outcomes.filter((outcome) => outcome === "left out").length;
      table[file.name] = { passed, of: outcomes.length - leftOut };
    }
    const rows = Object.entries(table).map(([file, row]) => `  "${file}": ${JSON.stringify(row)}`);
    await expect(`{\n${rows.join(",\n")}\n}\n`).toMatchFileSnapshot("./conformance.json");
  });
});
