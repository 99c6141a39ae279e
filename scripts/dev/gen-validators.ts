/**
 * Makes a function for each schema of compiler/schemas.ts, as ajv writes it, and puts them in place
 * of the empty table of compiler/validators.ts: `gen-validators.ts PATH`, called by the build.
 *
 * What ajv writes is for CommonJS; its helpers are imported instead.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import standalone from "ajv/dist/standalone/index.js";
import { SCHEMA_KEYWORDS, SCHEMA_OPTIONS } from "../../compiler/schema-options.ts";
import { SCHEMAS } from "../../compiler/schemas.ts";

const HELPER = /const (\w+) = require\("(ajv\/dist\/runtime\/(\w+))"\)\.default;/g;

/** The text of a module that exports VALIDATORS. */
export function generateValidators(): string {
  const ajv = new Ajv2020({ ...SCHEMA_OPTIONS, code: { source: true, esm: true } });
  for (const keyword of SCHEMA_KEYWORDS) ajv.addKeyword(keyword);
  const exported: { [name: string]: string } = {};
  for (const [name, schema] of SCHEMAS) {
    ajv.addSchema(schema, `gavotte:${name}`);
    exported[name] = `gavotte:${name}`;
  }
  const code = standalone.default(ajv, exported).replace('"use strict";', "");
  const imports = new Set<string>();
  const body = code.replace(HELPER, (_, name: string, path: string, helper: string) => {
    // A helper is a CommonJS module that marks itself as the other kind: loaders differ on it.
    imports.add(`import ${helper}Module from "${path}.js";`);
    return `const ${name} = ${helper}Module.default ?? ${helper}Module;`;
  });
  if (body.includes("require(")) throw new Error("ajv's code needs a helper that is not imported");
  const table = [...SCHEMAS.keys()].join(", ");
  return [...imports, body, `export const VALIDATORS = { ${table} };`, ""].join("\n");
}

const [, program, path] = process.argv;
if (program === fileURLToPath(import.meta.url) && path !== undefined) {
  writeFileSync(path, generateValidators());
}
