import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ValidateFunction } from "ajv";
import { afterAll, expect, it } from "vitest";
import { parse } from "yaml";
import { checkSchema } from "../../compiler/schema-check.ts";
import { SCHEMAS } from "../../compiler/schemas.ts";
import { generateValidators } from "./gen-validators.ts";

const root = new URL("../../", import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "gavotte-validators-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function documents(): unknown[] {
  const paths = ["test_data/", "test_data/dialects/native/invalid/"].flatMap((path) =>
    readdirSync(new URL(path, root))
      .filter((name) => /\.(json|yaml)$/.test(name))
      .map((name) => readFileSync(new URL(path + name, root), "utf8")),
  );
  return paths.flatMap((text) => {
    try {
      return [parse(text) as unknown];
    } catch {
      return [];
    }
  });
}

it("validators that the build makes find the same as those made when they are needed", async () => {
  symlinkSync(new URL("node_modules", root), join(folder, "node_modules"));
  const path = join(folder, "validators.mjs");
  writeFileSync(path, generateValidators());
  const { VALIDATORS } = (await import(pathToFileURL(path).href)) as {
    VALIDATORS: { [name: string]: ValidateFunction };
  };
  const values = documents();
  expect(values.length).toBeGreaterThan(50);
  for (const [name, schema] of SCHEMAS) {
    for (const value of values) {
      const isValid = VALIDATORS[name]?.(value);
      expect(isValid, name).toBe(checkSchema(schema, value as never).length === 0);
    }
  }
});
