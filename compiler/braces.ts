/**
 * Braces that mean nothing here: `{{ input.x + 1 }}` in a text, `${input.x > 1}` in a condition.
 *
 * Other tools write expressions so, and some plain references in that spelling are read here too; so
 * whoever writes a little more than a reference means an expression, and would get the text itself.
 * A text for such a tool, `Dear {{name}}` in a mail, names nothing that is known here.
 */
import { scanTemplate } from "../condition/index.ts";
import { asName } from "./visible-nodes.ts";

/** An expression in braces that are text here, and what to write instead. */
export interface Braces {
  start: number;
  end: number;
  written: string;
  cel: string;
}

/** Pairs that are looked at in one text, and characters of one. */
const PAIRS_MAX = 20;
const CHARS_MAX = 200;

/** What stands at the beginning of something that may be meant: a name, or a sum of constants. */
const BEGIN = /^\s*(?:(?<name>[A-Za-z_][\w-]*)|[\d("'[!-])/;
const OPERATOR = /[-+*/%<>=!&|?]/;
/** A text that is nothing but a path, as shells and other tools mark one: `$input.x`, `{input.x}`. */
const BARE = /^(?:\$(?<path>[^{}$]+)|\{(?<braced>[^{}$]+)\})$/;
const IS_PATH = /^[A-Za-z_][\w-]*(?:\.[A-Za-z_]\w*|\[\d+\])+$/;

/**
 * The first `{{ … }}` in the plain parts of a template that is an expression: of these variables, of
 * nodes, or of constants; or a whole text that is `$input.x` or `{input.x}`. `isExpression` says whether
 * a text is one here.
 */
export function bracesIn(
  text: string,
  known: { variables: ReadonlySet<string>; nodes: ReadonlySet<string> },
  isExpression: (cel: string) => boolean,
): Braces | undefined {
  const { path, braced = path ?? "" } = BARE.exec(text)?.groups ?? {};
  const named = IS_PATH.test(braced) ? meantBy(braced, known) : undefined;
  if (named !== undefined && isExpression(named)) {
    return { start: 0, end: text.length, written: text, cel: named };
  }
  let left = PAIRS_MAX;
  for (const [from, to] of plainParts(text)) {
    for (let at = text.indexOf("{{", from); at >= 0 && at < to && left > 0; left--) {
      const close = text.indexOf("}}", at + 2);
      if (close < 0 || close >= to) break;
      const end = close + 2;
      const cel = meantBy(text.slice(at + 2, close), known);
      if (cel !== undefined && isExpression(cel)) {
        return { start: at, end, written: text.slice(at, end), cel };
      }
      at = text.indexOf("{{", end);
    }
  }
  return undefined;
}

/** The CEL in a text that is nothing but one pair of braces, as a template has them or other tools. */
export function unwrapped(text: string): string | undefined {
  const match = /^\s*(?:\$\{\{(.*)\}\}|\$\{(.*)\}|\{\{(.*)\}\})\s*$/s.exec(text);
  return (match?.[1] ?? match?.[2] ?? match?.[3])?.trim();
}

/** Whether a text has an expression in braces, of either kind. */
export function hasBraces(text: string): boolean {
  if (!text.includes("{")) return false;
  return /\$\{[^}]|\{\{[^}]/.test(text.replaceAll("$${", ""));
}

function plainParts(text: string): [from: number, to: number][] {
  const parts: [number, number][] = [];
  let at = 0;
  for (const part of scanTemplate(text)) {
    if (part.kind !== "expression") continue;
    parts.push([at, part.start - 2]);
    at = part.end + 1;
  }
  return [...parts, [at, text.length]];
}

/** The CEL that a text between braces stands for, if it is about what is known here. */
function meantBy(
  inner: string,
  { variables, nodes }: { variables: ReadonlySet<string>; nodes: ReadonlySet<string> },
): string | undefined {
  const begin = inner.length > CHARS_MAX ? null : BEGIN.exec(inner);
  if (begin === null) return undefined;
  const cel = inner.trim();
  const name = begin.groups?.["name"];
  if (name === undefined) return OPERATOR.test(cel.replace(/^[!-]/, "")) ? cel : undefined;
  if (variables.has(name)) return cel;
  if (!nodes.has(name)) return undefined;
  const fields = cel.slice(name.length).replace(/^\.output(?!\w)/, "");
  return `${asName(name)}.output${fields}`;
}
