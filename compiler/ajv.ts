/**
 * The JSON Schema library, loaded when it is needed: a document without schemas of its own needs
 * only the validators that are made beforehand.
 */
import { createRequire } from "node:module";
import type { Ajv2020, Options } from "ajv/dist/2020.js";

const require = createRequire(import.meta.url);

/** A validator of draft 2020-12. */
export function newAjv(options: Options): Ajv2020 {
  const library = require("ajv/dist/2020.js") as { Ajv2020: typeof Ajv2020 };
  return new library.Ajv2020(options);
}
