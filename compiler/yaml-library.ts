/** The YAML library, loaded when there is YAML. */
import type * as Yaml from "yaml";
import { loadLibrary } from "./library.ts";

let loaded: typeof Yaml | undefined;

/** The library. */
export function yamlLibrary(): typeof Yaml {
  loaded ??= loadLibrary("yaml.cjs", (load) => load("yaml")) as typeof Yaml;
  return loaded;
}
