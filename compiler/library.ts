/**
 * Large libraries, loaded when they are needed: most files of programs are JSON without a schema of
 * their own, and finding and reading the fifty files of a library takes longer than checking a
 * workflow. Beside the bundle of quick commands (scripts/build.sh) each is one file.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);

/** What `file` beside the bundle exports; without it, what `load` puts together from packages. */
export function loadLibrary(file: string, load: (name: NodeJS.Require) => unknown): unknown {
  const path = fileURLToPath(new URL(`./libraries/${file}`, import.meta.url));
  return existsSync(path) ? (require(path) as unknown) : load(require);
}
