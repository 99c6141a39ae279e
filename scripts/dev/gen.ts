/**
 * Writes what is made from sources and committed: `npm run gen`. With `--check` it writes nothing
 * and fails if something is out of date, compared with what is there now, not with the last commit:
 * work in progress is no difference.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { generateDocs } from "./gen-docs.ts";
import { generateOpenapi } from "./gen-openapi.ts";
import { generateScripts } from "./gen-scripts.ts";
import { generateTypes } from "./gen-types.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Every generated file by its path from the root of the repository. */
export async function generateAll(): Promise<{ [path: string]: string }> {
  const openapi = await generateOpenapi();
  return { ...generateScripts(), ...generateDocs(), ...generateTypes(), ...openapi };
}

/** Paths of the generated files that are not what they would be now. */
export function outdated(generated: { [path: string]: string }): string[] {
  return Object.keys(generated).filter((path) => read(path) !== generated[path]);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return undefined;
  }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const generated = await generateAll();
  const stale = outdated(generated);
  if (process.argv.includes("--check")) {
    const told = stale.map((path) => `${path} is out of date; commit what "npm run gen" writes`);
    told.forEach((line) => console.error(line));
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    for (const path of stale) write(path, generated[path] ?? "");
  }
}
