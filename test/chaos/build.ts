/**
 * The roles as compiled files, as production runs them: a process that is killed ten times a second
 * must begin in less, which a loader that compiles sources does not.
 */
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** What packages that are no modules themselves ask for. */
const REQUIRE =
  'import { createRequire as requireFrom__ } from "node:module";' +
  "const require = requireFrom__(import.meta.url);";

/** Compiles test/e2e/role.ts and all that it imports into files below a folder; the program there. */
export async function buildRole(dir: string): Promise<string> {
  const outdir = join(dir, "roles");
  await build({
    ...{ entryPoints: [here("../e2e/role.ts")], outdir },
    // In parts, so that a worker does not read what only a supervisor or a gateway needs.
    ...{ bundle: true, splitting: true, platform: "node", format: "esm", target: "node20" },
    ...{ banner: { js: REQUIRE }, external: ["pg-native"], logLevel: "warning" },
  });
  writeFileSync(join(outdir, "package.json"), '{ "type": "module" }');
  // What the program looks for beside itself.
  symlinkSync(here("../../migrations"), join(dir, "migrations"));
  symlinkSync(here("../../node_modules"), join(dir, "node_modules"));
  return join(outdir, "role.js");
}
