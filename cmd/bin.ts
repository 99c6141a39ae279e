#!/usr/bin/env node
/**
 * What `gavotte` starts: the commands that only read files from a bundle, all others from the
 * modules. Finding and reading a hundred modules takes longer than what `validate` has to do.
 *
 * Both are the same program (main.ts); the build makes the bundle. In one process there is only
 * ever one of them, so no module exists twice.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FILE_COMMANDS = new Set(["validate", "compile", "convert", "explain", "schema"]);

const bundle = new URL("../quick/main.js", import.meta.url);
const isQuick = FILE_COMMANDS.has(process.argv[2] ?? "") && existsSync(fileURLToPath(bundle));
if (isQuick) {
  await import(bundle.href);
} else {
  await import("./main.ts");
}
