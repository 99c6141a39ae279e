/**
 * Where a character of a YAML string stands in the file.
 *
 * The same string can be spelt in five ways; in each of them a place inside an expression has to be
 * found again. Folded text, and quoted text over several lines, is not followed.
 */
import type { Scalar } from "yaml";

/** Offset in `text` of an offset into the scalar's string, or undefined. */
export function scalarTextAt(node: Scalar, offset: number, text: string): number | undefined {
  const [start = 0, end = 0] = node.range ?? [];
  if (typeof node.value !== "string" || offset > node.value.length) return undefined;
  if (node.type === "BLOCK_LITERAL") return literalTextAt(node.value, offset, text, start);
  const spelling = text.slice(start, end);
  const quote = spelling[0] === '"' || spelling[0] === "'" ? 1 : 0;
  if (text.startsWith(node.value, start + quote)) return start + quote + offset;
  if (quote === 0 || spelling.includes("\n")) return undefined;
  return start + quotedOffset(spelling, offset);
}

/** Lengths of the escapes that are not two characters long. */
const ESCAPES: { readonly [letter: string]: number } = { x: 4, u: 6, U: 10 };

function quotedOffset(spelling: string, offset: number): number {
  const isSingle = spelling[0] === "'";
  let at = 1;
  for (let left = offset; left > 0 && at < spelling.length - 1; left--) {
    const isEscape = spelling[at] === (isSingle ? "'" : "\\");
    at += !isEscape ? 1 : isSingle ? 2 : (ESCAPES[spelling[at + 1] ?? ""] ?? 2);
  }
  return Math.min(at, spelling.length - 1);
}

/** A literal block (`|`): its lines are those of the file without their indentation. */
function literalTextAt(
  value: string,
  offset: number,
  text: string,
  start: number,
): number | undefined {
  const before = value.slice(0, offset);
  const column = before.length - (before.lastIndexOf("\n") + 1);
  let line = text.indexOf("\n", start) + 1;
  const indent = indentOf(value, text, line);
  if (indent === undefined) return undefined;
  for (let left = before.split("\n").length - 1; left > 0; left--) {
    const next = text.indexOf("\n", line) + 1;
    if (next === 0) return undefined;
    line = next;
  }
  return line + indent + column;
}

/** How far the first line of a block that is not empty is indented. */
function indentOf(value: string, text: string, start: number): number | undefined {
  const first = value.split("\n").findIndex((line) => line !== "");
  let line = start;
  for (let left = first; left > 0; left--) line = text.indexOf("\n", line) + 1;
  const found = text.indexOf(value.split("\n")[first] ?? "", line);
  return first < 0 || found < 0 ? undefined : found - line;
}
