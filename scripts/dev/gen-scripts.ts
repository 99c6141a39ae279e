/**
 * sdk/redis/scripts.gen.ts: the Lua scripts with their includes in place and the header stripped.
 *
 * The SHA-1 is not computed here: every partition's script text begins with its own certificate
 * line (see sdk/redis/script-runner.ts).
 */
import { readdirSync, readFileSync } from "node:fs";

const root = new URL("../", import.meta.url);
/** Of a script that opens a partition: what follows is a function that the guard calls. */
const OPENS = '--- @include "partition"\n';
const INCLUDE = /^--- @include "([a-z_]+)"$/gm;

/** The generated module by its path. */
export function generateScripts(): { [path: string]: string } {
  const names = readdirSync(root)
    .filter((file) => file.endsWith(".lua"))
    .map((file) => file.slice(0, -".lua".length))
    .sort();
  const entries = names.map((name) => {
    const camel = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return `  ${camel}: ${JSON.stringify(strip(load(name, [], new Set())))},\n`;
  });
  const text =
    "// Generated from scripts/*.lua by scripts/dev/gen-scripts.ts (npm run gen). Do not edit.\n" +
    `export const SCRIPTS = {\n${entries.join("")}} as const;\n\n` +
    "export type ScriptName = keyof typeof SCRIPTS;\n";
  return { "sdk/redis/scripts.gen.ts": text };
}

/** `seen`: includes that stand in the script already; each stands there once. */
function load(name: string, within: string[], seen: Set<string>): string {
  if (within.includes(name)) {
    throw new Error(`include cycle: ${[...within, name].join(" -> ")}`);
  }
  const folder = within.length === 0 ? "" : "include/";
  const text = readFileSync(new URL(`${folder}${name}.lua`, root), "utf8");
  const body = text.replace(/^--\[\[[\s\S]*?\]\]\n/, "");
  return guarded(body).replace(INCLUDE, (_, include: string) => {
    const isThere = seen.has(include);
    seen.add(include);
    return isThere ? "" : load(include, [...within, name], seen).trimEnd();
  });
}

function guarded(body: string): string {
  return body.startsWith(OPENS)
    ? `${OPENS}local function script()\n${body.slice(OPENS.length)}end\n--- @include "guard"\n`
    : body;
}

/** Comments and indentation cost bytes in Redis, nothing else: keep the code lines only. */
function strip(lua: string): string {
  return lua
    .split("\n")
    .map((line) => line.replace(/^\s+/, "").replace(/(^|\s)--\s.*$/, ""))
    .filter((line) => line !== "")
    .join("\n");
}
