#!/usr/bin/env node
/**
 * What `gavotte` starts: the commands that only read files, and a worker, from bundles, all others
 * from the modules. Finding and reading a hundred modules takes longer than what `validate` has to
 * do, and more memory than a worker needs for its work.
 *
 * All are the same program (main.ts); the build makes the bundles. In one process there is only
 * ever one of them, so no module exists twice.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FILE_COMMANDS = new Set(["validate", "compile", "convert", "explain", "schema"]);

const command = process.argv[2] ?? "";
const name = FILE_COMMANDS.has(command) ? "../quick/main.js" : "./served.js";
const bundle = new URL(name, import.meta.url);
const isBundled = FILE_COMMANDS.has(command) || command === "worker";
if (isBundled && existsSync(fileURLToPath(bundle))) {
  await import(bundle.href);
} else {
  await import("./main.ts");
}
