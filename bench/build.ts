/**
 * The roles of a measurement compiled, as production runs them: a loader that compiles sources would
 * be in their memory, in their profiles and in the time of their start. In a few files, so that each
 * role loads what it needs: in one, a worker's memory would have the supervisor's and gateway's code.
 */
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const BUILT = fileURLToPath(new URL(".build/", import.meta.url));

/** What the roles' processes run. */
export const ROLE = `${BUILT}role.js`;

/** Compiles role.ts and all that it imports, packages left outside. */
export async function buildRole(): Promise<void> {
  rmSync(BUILT, { recursive: true, force: true });
  await build({
    entryPoints: [fileURLToPath(new URL("role.ts", import.meta.url))],
    outdir: BUILT,
    ...{ bundle: true, splitting: true, platform: "node", format: "esm", target: "node20" },
    ...{ packages: "external", keepNames: true, logLevel: "warning" },
  });
}

type Modules = { line: number; file: string }[];

const modulesOf = new Map<string, Modules>();

/** The source file of a line in a compiled one, given by its URL: a comment stands before each. */
export function sourceOf(url: string, line: number): string | null {
  if (!url.includes("/bench/.build/")) {
    return null;
  }
  const modules = modulesOf.get(url) ?? readModules(url);
  modulesOf.set(url, modules);
  return modules.findLast((module) => module.line <= line)?.file ?? "?";
}

function readModules(url: string): Modules {
  return readFileSync(fileURLToPath(url), "utf8")
    .split("\n")
    .flatMap((text, i) => {
      const file = /^\/\/ (\S+\.ts)$/.exec(text)?.[1];
      return file === undefined ? [] : [{ line: i, file }];
    });
}
