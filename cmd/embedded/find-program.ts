/** Looking for programs the way a shell does. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The path of the first of `names` that can be run, looked for on the PATH and in `also`. */
export function findProgram(
  names: readonly string[],
  also: readonly string[] = [],
): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...also];
  const paths = names.flatMap((name) => folders.filter(Boolean).map((dir) => join(dir, name)));
  return paths.find(isRunnable);
}

function isRunnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
