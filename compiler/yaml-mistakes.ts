/**
 * What the YAML library says of a text that it refuses, in words for authors.
 *
 * It tells what its grammar stumbled over, and several things of one line; a wrong indentation is told
 * by the line and its columns instead, where yaml-indent.ts finds it at the same place.
 */
import type { YAMLError } from "yaml";
import { findMisfit } from "./yaml-indent.ts";
import type { YamlProblem } from "./yaml-source.ts";

/** What wrong indentation gives; other mistakes give them too. */
const OF_INDENT: readonly string[] = [
  ...["BAD_INDENT", "BLOCK_AS_IMPLICIT_KEY", "MULTILINE_IMPLICIT_KEY", "MISSING_CHAR"],
  "UNEXPECTED_TOKEN",
];
const QUOTES = "put the value in quotes";

/** The library's errors and warnings as problems of the file. */
export function readableProblems(errors: readonly YAMLError[], text: string): YamlProblem[] {
  const first = errors.find(({ code }) => OF_INDENT.includes(code));
  const misfit = first && findMisfit(text);
  const ahead = misfit && first ? misfit.line - lineOf(text, first.pos[0]) : -1;
  // The library is sure of a deeper line's key only when it has come to the line itself.
  const isSame = misfit !== undefined && (ahead === 0 || ahead === 1);
  // After one token that it did not expect the library expects none of those that follow.
  const lost = errors.find(({ code }) => code === "UNEXPECTED_TOKEN");
  const others = errors
    .filter(({ code }) => !isSame || !OF_INDENT.includes(code))
    .filter((error) => error.code !== "UNEXPECTED_TOKEN" || error === lost);
  const told = new Set(
    others.filter(({ code }) => code !== "MULTILINE_IMPLICIT_KEY").map(({ pos }) => pos[0]),
  );
  const problems = others
    // A second thing that is said of the same place.
    .filter(({ code, pos }) => code !== "MULTILINE_IMPLICIT_KEY" || !told.has(pos[0]))
    .map(({ code, message, pos }): YamlProblem => {
      const place = { offset: pos[0], end: pos[1], pointer: "" };
      return { code: "GV1003", ...place, ...readable(code, message) };
    });
  if (!isSame) return problems;
  const { offset, end, message, hint } = misfit;
  const found: YamlProblem = { code: "GV1003", pointer: "", offset, end, message, hint };
  return [...problems, found].toSorted((a, b) => a.offset - b.offset);
}

function readable(code: string, message: string): { message: string; hint?: string } {
  if (code === "MULTIPLE_DOCS")
    return { message: "the file holds several YAML documents, one is expected" };
  if (code === "TAB_AS_INDENT") return { message: "tabs cannot indent YAML", hint: "use spaces" };
  if (code === "BLOCK_AS_IMPLICIT_KEY" && message.startsWith("Nested mappings")) {
    return { message: "a second `: ` in one value: it is read as another key", hint: QUOTES };
  }
  if (code === "BLOCK_IN_FLOW") {
    const message = "`? ` and `- ` begin a key or an item, which cannot stand inside of { } or [ ]";
    return { message, hint: QUOTES };
  }
  const bracket = /^Flow (?:map|sequence) .* end with a ([}\]])$/.exec(message)?.[1];
  if (bracket !== undefined) {
    return {
      message: `a \`${bracket === "}" ? "{" : "["}\` before is never closed`,
      hint: `close it with \`${bracket}\``,
    };
  }
  return { message: message.charAt(0).toLowerCase() + message.slice(1) };
}

/** From 0. */
function lineOf(text: string, offset: number): number {
  let line = 0;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}
