/**
 * Any dialect as a native file, in JSON or YAML.
 *
 * A native YAML file that stays YAML is written by the library that read it, so comments, the order
 * of keys and blank lines stay. Everything else is written anew of its value, without the comments,
 * which is told like every other loss.
 */
import { Reporter } from "../diagnostics.ts";
import type { Diagnostic } from "../diagnostics.ts";
import type { Json } from "../ir.ts";
import { createSourceMap } from "../source-map.ts";
import type { PlacedNode } from "../source-map.ts";
import { yamlLibrary } from "../yaml-library.ts";
import type { Dialect } from "./detect.ts";

export interface Conversion {
  /** The file's text, as it was. */
  text: string;
  format: "json" | "yaml";
  dialect: Dialect;
  /** The native document of it. */
  value: Json;
  file?: string;
}

/** A native file, and the losses that are nobody's but the conversion's. */
export function writeNative(
  from: Conversion,
  to: "json" | "yaml",
): { text: string; losses: Diagnostic[] } {
  if (to === "yaml" && from.format === "yaml" && from.dialect === "native") {
    return { text: rewriteYaml(from.text), losses: [] };
  }
  const losses = from.format === "yaml" ? lostComments(from) : [];
  const text = to === "json" ? `${JSON.stringify(from.value, null, 2)}\n` : toYaml(from.value);
  return { text, losses };
}

const FORMAT = { lineWidth: 0 } as const;

function toYaml(value: Json): string {
  return yamlLibrary().stringify(value, {
    ...FORMAT,
    version: "1.2",
    aliasDuplicateObjects: false,
  });
}

function rewriteYaml(text: string): string {
  return yamlLibrary().parseDocument(text, { version: "1.2" }).toString(FORMAT);
}

/** One loss for all comments, at the first of them. */
function lostComments({ text, file }: Conversion): Diagnostic[] {
  const comments = findComments(text);
  const [first] = comments;
  if (!first) return [];
  const root: PlacedNode = { ...first, child: () => undefined };
  const reporter = new Reporter(
    createSourceMap(text, () => root),
    file,
  );
  const count = comments.length === 1 ? "a comment" : `${comments.length} comments`;
  const message = `${count}: the converted file has none`;
  reporter.report({ code: "GV5002", pointer: "", message });
  return reporter.diagnostics;
}

function findComments(text: string): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  let at = 0;
  for (const lexeme of new (yamlLibrary().Lexer)().lex(text)) {
    // Marks that the lexer puts between its parts, and that are no text.
    if (/^[\u0002\u0018\u001f\ufeff]$/.test(lexeme)) {
      at += lexeme === "\ufeff" ? 1 : 0;
      continue;
    }
    if (lexeme.startsWith("#")) found.push({ start: at, end: at + lexeme.length });
    at += lexeme.length;
  }
  return found;
}
