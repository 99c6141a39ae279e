/** Options of the form NODE=JSON. */
import type { Json } from "../compiler/ir.ts";
import { parseJson } from "../condition/json-text.ts";
import { GavotteError } from "../sdk/errors.ts";

/** The values by node. Throws GV_BAD_INPUT. */
export function readPairs(flag: string, texts: readonly string[]): { [node: string]: Json } {
  const found: { [node: string]: Json } = {};
  for (const text of texts) {
    const border = text.indexOf("=");
    try {
      if (border < 1) {
        throw new Error("there is no node before a =");
      }
      const node = text.slice(0, border);
      if (Object.hasOwn(found, node)) {
        throw new Error(`${node} has been given a value before; give it one`);
      }
      const value = parseJson(text.slice(border + 1));
      Object.defineProperty(found, node, { value, enumerable: true });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `${flag} takes NODE=JSON, not ${text}: ${reason}`;
      throw new GavotteError("GV_BAD_INPUT", message, { cause });
    }
  }
  return found;
}
