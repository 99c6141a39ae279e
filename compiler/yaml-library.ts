/** The YAML library, loaded when there is YAML: most files of programs are JSON, and it is large. */
import { createRequire } from "node:module";
import type * as Yaml from "yaml";

const require = createRequire(import.meta.url);
let loaded: typeof Yaml | undefined;

/** The library. */
export function yamlLibrary(): typeof Yaml {
  loaded ??= require("yaml") as typeof Yaml;
  return loaded;
}
