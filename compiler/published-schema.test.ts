import { readdirSync, readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { DIAGNOSTICS } from "./diagnostics.ts";
import type { CodeSpec } from "./codes/code.ts";
import { compile } from "./index.ts";
import { compileInvalid, INVALID_FILES, readInvalid } from "./invalid.fixture.ts";
import { publishedConfigSchema, publishedKinds, publishedSchema } from "./published-schema.ts";

const validate = new Ajv2020({ allErrors: true, strict: false }).compile(publishedSchema());

const folder = new URL("../test_data/", import.meta.url);
const EXAMPLES = [
  ...readdirSync(folder).filter((name) => /\.(json|yaml)$/.test(name)),
  "pipeline/workflow.yaml",
];

describe("the published schema", () => {
  it.each(EXAMPLES)("takes the example %s", (file) => {
    const valid = validate(parse(readFileSync(new URL(file, folder), "utf8")));
    expect(validate.errors ?? []).toEqual([]);
    expect(valid).toBe(true);
  });

  it.each(Object.entries<CodeSpec>(DIAGNOSTICS))("takes the right example of %s", (_, spec) => {
    const text = typeof spec.right === "string" ? spec.right : spec.right.text;
    if (compile({ text }).dialect !== "native") return;
    validate(parse(text));
    expect(validate.errors ?? []).toEqual([]);
  });

  it.each(INVALID_FILES)("or the compiler refuses %s", (file) => {
    const { ir, diagnostics, dialect } = compileInvalid(file);
    if (ir === null || dialect !== "native") return;
    // What only warns is valid to both.
    expect(diagnostics.every((d) => d.severity === "warning")).toBe(true);
    expect(validate(parse(readInvalid(file)))).toBe(true);
  });

  it.each([
    ["unknown-property.json", false],
    ["config-missing.json", false],
    ["config-duration.yaml", false],
    ["loop-without-limit.json", false],
    ["loop-limit-zero.json", false],
    ["unknown-type.json", false],
    ["config-unknown-key.json", true],
  ])("judges %s by itself, as an editor does: %s", (file, isValid) => {
    expect(validate(parse(readInvalid(file)))).toBe(isValid);
  });

  it("takes a file that names it", () => {
    const $schema = "../schemas/workflow.schema.json";
    expect(validate({ $schema, name: "w", nodes: [{ id: "a", type: "noop" }] })).toBe(true);
  });

  it("says of every property what it is", () => {
    expect(undescribed(publishedSchema(), "")).toEqual([]);
  });

  it.each(publishedKinds())("has the config of %s also by itself", (kind) => {
    const ajv = new Ajv2020({ strict: false });
    expect(ajv.validateSchema(publishedConfigSchema(kind as never))).toBe(true);
    expect(() => ajv.compile(publishedConfigSchema(kind as never))).not.toThrow();
  });
});

/** Pointers of properties without a description. */
function undescribed(schema: unknown, pointer: string): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([keyword, part]) => {
    const at = `${pointer}/${keyword}`;
    // In a condition nothing is described.
    if (keyword === "if" || keyword === "then") return [];
    if (keyword !== "properties") return undescribed(part, at);
    return Object.entries(part as object).flatMap(([name, property]) => [
      ...("description" in (property as object) ? [] : [`${at}/${name}`]),
      ...undescribed(property, `${at}/${name}`),
    ]);
  });
}
