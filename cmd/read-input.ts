/** `--input`: JSON, `@file`, or `-` for standard input. */
import type { Json } from "../compiler/index.ts";
import { GavotteError } from "../sdk/errors.ts";
import type { Context } from "./context.ts";
import { readText } from "./read-workflow.ts";

/** The run's input; `{}` if none is given. Throws GV_BAD_INPUT. */
export async function readInput(context: Context, given: unknown): Promise<Json> {
  if (typeof given !== "string") {
    return {};
  }
  const [text, from] =
    given === "-"
      ? [await context.readStdin(), "standard input"]
      : given.startsWith("@")
        ? [await readText(context.cwd, given.slice(1)), given.slice(1)]
        : [given, "--input"];
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `${from} is not JSON: ${reason}; text needs quotes: --input '"text"'`;
    throw new GavotteError("GV_BAD_INPUT", message, { cause: error });
  }
}
