/**
 * Indentation that fits nothing, said as an author sees it: which key, in which column, and which one
 * it should have. The YAML library tells such a line by what its grammar makes of it ("nested mappings
 * are not allowed in compact mappings"), often one line too early and three times.
 *
 * It reads lines and not YAML: it is asked only of a text that the library has refused, and believed
 * only where both find fault with the same place.
 */

export interface Misfit {
  /** From 0. */
  line: number;
  offset: number;
  end: number;
  message: string;
  hint: string;
}

interface Level {
  kind: "map" | "list";
  /** From 0. */
  column: number;
  /** Last key of a map; `-` of a list. */
  name: string;
  line: number;
  /** What stands behind the last key, or the `-`, in its line. */
  value: string;
}

/** The name as it is written. What is plain takes the spaces behind it in: no part is tried twice. */
const KEY =
  /^(?:("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*|([^\s#'"{}[\],&*!|>%@`-][^:#]*|-[^\s:#][^:#]*)):(?=\s|$)/;
const BLOCK_TEXT = /^(?:[&!]\S+\s+)*[|>][-+0-9]*\s*(?:#.*)?$/;

/** Lines that a value in brackets or quotes may go on for. */
const OPEN_MAX = 50;

/** The first line whose indentation fits nothing; undefined if all do, or it cannot be told. */
export function findMisfit(text: string): Misfit | undefined {
  const levels: Level[] = [];
  let offset = 0;
  /** Lines that are indented deeper than this are the text of a block scalar. */
  let textUnder: number | null = null;
  /** A value in brackets or quotes that goes on, line by line. */
  let open: string[] = [];
  for (const [line, raw] of text.split("\n").entries()) {
    const start = offset;
    offset += raw.length + 1;
    const row = raw.trimEnd();
    if (open.length > 0) {
      open.push(row);
      if (open.length > OPEN_MAX) return undefined;
      if (!isOpen(open.join("\n"))) open = [];
      continue;
    }
    const column = row.length - row.trimStart().length;
    if (row === "" || (textUnder !== null && column > textUnder)) continue;
    textUnder = null;
    if (row.startsWith("#", column)) continue;
    if (row.slice(0, column).includes("\t") || /^(?:---|\.\.\.|%)/.test(row)) return undefined;
    const parts = partsOf(row, column, line);
    const [first] = parts;
    if (!first) return undefined; // a text over several lines, or what only the library reads
    const wrong = place(levels, first);
    if (wrong) return { line, offset: start + column, end: start + row.length, ...wrong };
    levels.push(...parts.slice(1));
    const { column: under = 0, value = "" } = parts.at(-1) ?? {};
    if (BLOCK_TEXT.test(value)) textUnder = under;
    else if (isOpen(value)) open = [value];
  }
  return undefined;
}

/** The levels that a line begins, from outside: `- - key:` begins three. Empty: it begins none. */
function partsOf(row: string, column: number, line: number): Level[] {
  const parts: Level[] = [];
  let at = column;
  while (/^-(?:\s|$)/.test(row.slice(at))) {
    parts.push({ kind: "list", column: at, name: "-", line, value: "" });
    const rest = row.slice(at + 1);
    at += 1 + rest.length - rest.trimStart().length;
  }
  const [, quoted, name = quoted] = KEY.exec(row.slice(at)) ?? [];
  if (name === undefined) {
    const list = parts.at(-1);
    if (list) list.value = withoutRemark(row.slice(at));
    return parts;
  }
  const value = withoutRemark(row.slice(at + name.length).replace(/^\s*:\s*/, ""));
  parts.push({ kind: "map", column: at, name: name.trimEnd(), line, value });
  return parts;
}

function withoutRemark(value: string): string {
  return value.startsWith("#") ? "" : value;
}

interface Wrong {
  message: string;
  hint: string;
}

/** Put what a line begins into its level; what is wrong with it, if it fits none. */
function place(levels: Level[], part: Level): Wrong | undefined {
  if (part.kind === "map" && part.name.startsWith("-")) {
    const message = `\`${part.name}\` is a key, and no item of a list`;
    return { message, hint: "put a space behind the `-`" };
  }
  let inner: Level | undefined;
  while ((levels.at(-1)?.column ?? -1) > part.column) inner = levels.pop();
  let outer = levels.at(-1);
  // A list may stand in the column of its own key; a key behind it is beside that one.
  if (outer?.kind === "list" && part.kind === "map" && outer.column === part.column) {
    const owner = levels.at(-2);
    if (owner?.column !== part.column) return owner && amongItems(owner, part);
    levels.pop();
    outer = owner;
  }
  if (outer && outer.column === part.column && outer.kind === part.kind) {
    Object.assign(outer, part);
    return undefined;
  }
  if (outer && outer.value !== "") return underValue(outer, part);
  if (inner) return { message: fitsNothing(part, inner), hint: moved(inner) };
  levels.push(part);
  return undefined;
}

function underValue({ kind, name, value, column }: Level, part: Level): Wrong {
  const text = kind === "list" ? value : name;
  const what = kind === "list" ? "is a text" : "has a value of its own";
  const message = `\`${part.name}\` is indented under \`${text}\`, which ${what}`;
  if (kind === "map") return { message, hint: moved({ column, name }) };
  return {
    message,
    hint: /^[\w-]+:\S/.test(value) ? "put a space behind its `:`" : "give it a key",
  };
}

function fitsNothing(part: Level, inner: Level): string {
  const before = `\`${inner.name}\` in line ${inner.line + 1} begins in column ${inner.column + 1}`;
  return `\`${part.name}\` begins in column ${part.column + 1}, where nothing else does: ${before}`;
}

function moved({ column, name }: Pick<Level, "column" | "name">): string {
  return `what stands beside \`${name}\` begins in column ${column + 1}`;
}

function amongItems(owner: Level, part: Level): Wrong {
  const place = `in column ${part.column + 1}, among the items of \`${owner.name}\``;
  const message = `\`${part.name}\` stands ${place}`;
  return { message, hint: moved(owner) };
}

/** Whether a bracket or a quote of a value is still open at the end of its line. */
function isOpen(value: string): boolean {
  let depth = 0;
  let quote = "";
  for (let i = 0; i < value.length; i++) {
    const sign = value[i] ?? "";
    if (quote !== "") {
      if (sign === "\\" && quote === '"') i++;
      else if (sign === quote) quote = "";
    } else if ((sign === '"' || sign === "'") && /^$|[\s,[{:]/.test(value[i - 1] ?? ""))
      quote = sign;
    else if (sign === "#" && /\s/.test(value[i - 1] ?? " ")) break;
    else if (/[[{]/.test(sign) && (depth > 0 || i === 0)) depth++;
    else if (/[\]}]/.test(sign) && depth > 0) depth--;
  }
  return depth > 0 || quote !== "";
}
