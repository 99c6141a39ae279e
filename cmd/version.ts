/** The package's version, wherever this file lies: in the source or compiled. */
import { readFileSync } from "node:fs";

/** As in package.json, which is one or two folders up. */
export function packageVersion(): string {
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      const content = readFileSync(new URL(path, import.meta.url), "utf8");
      return (JSON.parse(content) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return "unknown";
}
