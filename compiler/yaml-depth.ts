/**
 * How deep a YAML text is nested, and how many aliases it has, before it is parsed.
 *
 * The library's parser builds what it reads by recursion and keeps a good deal for every level: a
 * megabyte of `- - - -` ends the whole process. Its lexer does neither, so the tokens are asked
 * first. Levels that are made by indentation alone need a longer line for each, and so are few.
 */
import { yamlLibrary } from "./yaml-library.ts";

export interface Excess {
  what: "depth" | "aliases";
  /** Of the first token that is too much. */
  offset: number;
}

/** Where the text is nested deeper than `depthMax`, or has more aliases than `aliasesMax`. */
export function findExcess(text: string, depthMax: number, aliasesMax: number): Excess | undefined {
  let offset = 0;
  let flow = 0;
  let inLine = 0;
  let aliases = 0;
  for (const token of new (yamlLibrary().Lexer)().lex(text)) {
    const first = token[0];
    if (token === "[" || token === "{") flow++;
    else if (token === "]" || token === "}") flow = Math.max(0, flow - 1);
    // Between brackets an indicator is a pair's and opens nothing: lists may be long in one line.
    else if (flow === 0 && (token === "-" || token === "?" || token === ":")) inLine++;
    else if (first === "\n" || first === "\r") inLine = 0;
    if (first === "*" && ++aliases > aliasesMax) return { what: "aliases", offset };
    // In one line no other block can end, so each indicator may open one more.
    if (flow > depthMax || inLine > depthMax) return { what: "depth", offset };
    offset += isMark(token) ? 0 : token.length;
  }
  return undefined;
}

/** Tokens of the lexer's own, which stand for nothing in the text. */
function isMark(token: string): boolean {
  return token === "\u0002" || token === "\u0018" || token === "\u001f";
}
