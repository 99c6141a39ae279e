/**
 * The JSON Schema library, loaded when it is needed: a document without schemas of its own needs
 * only the validators that are made beforehand.
 */
import type { Ajv2020, Options } from "ajv/dist/2020.js";
import { loadLibrary } from "./library.ts";

/** A validator of draft 2020-12. */
export function newAjv(options: Options): Ajv2020 {
  const library = loadLibrary("ajv/dist/2020.js", "ajv.cjs") as { Ajv2020: typeof Ajv2020 };
  return new library.Ajv2020(options);
}
