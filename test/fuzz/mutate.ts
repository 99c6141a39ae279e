/**
 * Texts that are nearly right: a file of the corpus with a few changes. What is nearly right gets
 * further into a compiler than what is wrong from the start.
 */

/** A source of numbers from 0 (inclusive) to 1. */
export type Random = () => number;

/** What breaks things elsewhere: put in by itself, or instead of something. */
const TOKENS = [
  ...["{", "}", "[", "]", '"', "'", ",", ":", "-", "?", "&a", "*a", "!t", "|", ">", "#", "%"],
  ...["\n", "\r\n", "\t", " ", "\u0000", "\uFEFF", "\u2028", "\uD800", "漢", "👨‍👩‍👧", "\\u00", "\\"],
  ...["null", "true", ".nan", "1e999", "-0", "0x1F", "99999999999999999999", "__proto__"],
  ...["constructor", "${", "}", "${input.x}", "{{a.output}}", "$nodes.a.b", "$.x", "ctx.a.output"],
  ...["has(", "matches('(a+)+$')", "===", "=>", "&&", "||", "? :", "iteration", "secrets.X", "in"],
  ...["loop", "map", "do", "nodes", "edges", "type", "id", "config", "condition", "name"],
];

function below(random: Random, n: number): number {
  return Math.floor(random() * n);
}

function pick<T>(random: Random, list: readonly T[]): T | undefined {
  return list[below(random, list.length)];
}

/** One to eight changes; the result is at most twice as long as the longest of the corpus. */
export function mutate(random: Random, corpus: readonly string[]): string {
  let text = pick(random, corpus) ?? "";
  for (let left = 1 + below(random, 8); left > 0; left--) text = change(random, text, corpus);
  return text;
}

function change(random: Random, text: string, corpus: readonly string[]): string {
  const at = below(random, text.length + 1);
  const length = 1 + below(random, pick(random, [1, 4, 30, 200]) ?? 1);
  const before = text.slice(0, at);
  const behind = text.slice(at);
  switch (below(random, 7)) {
    case 0:
      return before + behind.slice(length);
    case 1:
      return before + behind.slice(0, length).repeat(2 + below(random, 3)) + behind.slice(length);
    case 2:
      return before + (pick(random, TOKENS) ?? "") + behind;
    case 3:
      return before + (pick(random, TOKENS) ?? "") + behind.slice(length);
    case 4:
      return before + String.fromCharCode(below(random, 0x300)) + behind.slice(1);
    case 5: {
      const other = pick(random, corpus) ?? "";
      const from = below(random, other.length + 1);
      return before + other.slice(from, from + length) + behind;
    }
    default:
      return swapLines(random, text);
  }
}

function swapLines(random: Random, text: string): string {
  const lines = text.split("\n");
  const a = below(random, lines.length);
  const b = below(random, lines.length);
  [lines[a], lines[b]] = [lines[b] ?? "", lines[a] ?? ""];
  return lines.join("\n");
}
