/**
 * The roles of a measurement as one compiled file, as production runs them: a loader that compiles
 * sources would be in their memory, in their profiles and in the time of their start.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** What the roles' processes run. */
export const ROLE = fileURLToPath(new URL(".build/role.js", import.meta.url));

/** Compiles role.ts and all that it imports, packages left outside. */
export async function buildRole(): Promise<void> {
  await build({
    entryPoints: [fileURLToPath(new URL("role.ts", import.meta.url))],
    outfile: ROLE,
    ...{ bundle: true, platform: "node", format: "esm", target: "node20" },
    ...{ packages: "external", keepNames: true, logLevel: "warning" },
  });
}

let modules: { line: number; file: string }[] | null = null;

/** The source file that a line of the compiled one comes from: a comment stands before each. */
export function sourceOf(line: number): string {
  modules ??= readFileSync(ROLE, "utf8")
    .split("\n")
    .flatMap((text, i) => {
      const file = /^\/\/ (\S+\.ts)$/.exec(text)?.[1];
      return file === undefined ? [] : [{ line: i, file }];
    });
  return modules.findLast((module) => module.line <= line)?.file ?? "?";
}
