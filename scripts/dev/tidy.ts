/**
 * Prints what is untidy in the repository, and exits with 1 if there is anything.
 *
 * It looks at what git tracks and at new files it does not ignore, so that a rule is broken before
 * the commit, not after.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tidy, type Finding, type SourceFile } from "./tidy-rules.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Nothing but text is read. */
const TEXT = /\.(ts|js|cjs|mjs|lua|sql|sh|json|ya?ml|md)$/;
const SKIPPED = /^(package-lock\.json$|web\/|bench\/peers\/|tmp\/)/;

/** The findings for the checkout this file lies in. */
export function tidyCheckout(): Finding[] {
  return tidy(readFiles());
}

function readFiles(): SourceFile[] {
  const arguments_ = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
  const listed = execFileSync("git", arguments_, { cwd: root, encoding: "utf8" });
  const paths = listed.split("\0").filter((path) => TEXT.test(path) && !SKIPPED.test(path));
  const present = paths.filter((path) => existsSync(join(root, path)));
  return present.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

/** One line for people. */
export function show({ path, line, message }: Finding): string {
  return `${path}${line === undefined ? "" : `:${line}`}: ${message}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const findings = tidyCheckout();
  findings.forEach((finding) => console.error(show(finding)));
  console.error(findings.length === 0 ? "tidy" : `${findings.length} things to tidy`);
  process.exitCode = findings.length === 0 ? 0 : 1;
}
