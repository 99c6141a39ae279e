/**
 * The JSON Schema library, loaded when it is needed: a document without schemas of its own needs
 * only the validators that are made beforehand.
 */
import type { Ajv2020, Options, Name, _ as code } from "ajv/dist/2020.js";
import { loadLibrary } from "./library.ts";

interface Library {
  Ajv2020: typeof Ajv2020;
  /** Makes code of keywords of our own. */
  _: typeof code;
  Name: typeof Name;
  addFormats: (ajv: Ajv2020) => Ajv2020;
}

let library: Library | undefined;

/** The library, with its formats; scripts/build.sh makes one file of the same parts. */
export function ajvLibrary(): Library {
  library ??= loadLibrary("ajv.cjs", (load) => ({
    ...(load("ajv/dist/2020.js") as object),
    addFormats: load("ajv-formats") as unknown,
  })) as Library;
  return library;
}

/** A validator of draft 2020-12. */
export function newAjv(options: Options): Ajv2020 {
  return new (ajvLibrary().Ajv2020)(options);
}
