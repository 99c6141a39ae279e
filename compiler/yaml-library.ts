/** The YAML library, loaded when there is YAML: most files of programs are JSON, and it is large. */
import { createRequire } from "node:module";

type Library = typeof import("yaml");

const require = createRequire(import.meta.url);
let loaded: Library | undefined;

/** The library. */
export function yamlLibrary(): Library {
  loaded ??= require("yaml") as Library;
  return loaded;
}
