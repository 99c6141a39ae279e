/**
 * Large libraries, loaded when they are needed: most files of programs are JSON without a schema of
 * their own, and finding and reading the fifty files of a library takes longer than checking a
 * workflow. Beside the bundle of quick commands (scripts/build.sh) each is one file.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);

/** What `name` exports; `file`: its one file beside the bundle. */
export function loadLibrary(name: string, file: string): unknown {
  const path = fileURLToPath(new URL(`./libraries/${file}`, import.meta.url));
  return require(existsSync(path) ? path : name) as unknown;
}
