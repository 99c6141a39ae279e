/** Values from outside: bytes that must be UTF-8, and JSON. */
import type { Json } from "../compiler/index.ts";
import { parseJson as parse } from "../condition/json-text.ts";

/**
 * The text of bytes, without a byte order mark, as Windows' editors write it. Throws where they are
 * not UTF-8: decoded leniently, two different values become one, and neither is what was given.
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Error("it is not UTF-8 text; save it as UTF-8", { cause: error });
  }
}

/** The value that bytes hold. Throws an Error that says why they do not hold one. */
export function parseJson(bytes: Uint8Array): Json {
  const text = decodeText(bytes);
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Error(`it is not JSON: ${error.message}`, { cause: error });
  }
}
