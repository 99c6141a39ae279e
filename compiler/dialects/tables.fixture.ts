/** The tables of docs/dialects.md, made of what the front ends go by. */
import { CONTEXT_VALUES } from "./asl/paths.ts";
import { COMPARISONS, QUESTIONS } from "./asl/choice.ts";
import { ERROR_CODES } from "./asl/failures.ts";
import {
  CATCHER_FIELDS,
  INNER_FIELDS,
  MACHINE_FIELDS,
  RETRIER_FIELDS,
  STATE_FIELDS,
  STATE_MEANINGS,
} from "./asl/fields.ts";
import type { Field } from "./asl/fields.ts";
import { INTRINSICS } from "./asl/intrinsics.ts";
import { RESOURCES } from "./asl/resources.ts";
import { DIALECT_TYPES } from "./types.ts";

type Row = readonly string[];

function table(head: Row, rows: readonly Row[]): string {
  const line = (cells: Row): string => `| ${cells.join(" | ")} |\n`;
  return line(head) + line(head.map(() => "---")) + rows.map(line).join("");
}

const code = (text: string): string => `\`${text.replaceAll("|", "\\|")}\``;

const SUPPORT: Readonly<Record<Field["support"], string>> = {
  yes: "yes",
  no: "**refused** (GV5001)",
  lost: "left out (GV5002)",
};

/** One row per field and meaning, with all states that have it. */
function fieldRows(): Row[] {
  const places = new Map<string, string[]>();
  const rows = new Map<string, Row>();
  const all: [string, Readonly<Record<string, Field>>][] = [
    ["machine", MACHINE_FIELDS],
    ["inner machine", INNER_FIELDS],
    ...Object.entries(STATE_FIELDS),
    ["entry of Retry", RETRIER_FIELDS],
    ["entry of Catch", CATCHER_FIELDS],
  ];
  for (const [place, fields] of all) {
    for (const [name, { support, how }] of Object.entries(fields)) {
      const key = JSON.stringify([name, support, how]);
      places.set(key, [...(places.get(key) ?? []), place]);
      rows.set(key, [code(name), SUPPORT[support], how]);
    }
  }
  const count = Object.keys(STATE_FIELDS).length;
  return [...rows].map(([key, [name = "", support = "", how = ""]]) => {
    const where = places.get(key) ?? [];
    const states = where.filter((place) => place in STATE_FIELDS);
    const others = where.filter((place) => !(place in STATE_FIELDS));
    const shown = states.length === count ? ["every state", ...others] : where;
    return [name, shown.join(", "), support, how];
  });
}

function comparisonRows(): Row[] {
  const rows = Object.entries(COMPARISONS).map(([name, { write }]): Row => {
    const right = { string: '"b"', number: "2", boolean: "true", timestamp: '"…"' };
    const { takes } = COMPARISONS[name] ?? { takes: "string" };
    return [`${code(name)}, ${code(`${name}Path`)}`, code(write("v", right[takes]))];
  });
  return [
    ...rows,
    [code("StringMatches"), code('isString(v) && v.matches("(?s)^a.*$")')],
    [code("IsPresent"), code("output.?a.?b.hasValue()")],
    ...Object.entries(QUESTIONS).map(([name, write]): Row => [code(name), code(write("v"))]),
    [`${code("And")}, ${code("Or")}, ${code("Not")}`, `${code("&&")}, ${code("||")}, ${code("!")}`],
  ];
}

/** Name of each table in the document, and how it should be. */
export const TABLES: Readonly<Record<string, string>> = {
  types: table(
    ["type", "node type"],
    Object.entries(DIALECT_TYPES).map(([name, { type, function_name: named }]) => [
      code(name),
      named === undefined ? code(type) : `${code(type)}, of the function ${code(named)}`,
    ]),
  ),
  states: table(
    ["state", "becomes"],
    Object.entries(STATE_MEANINGS).map(([name, meaning]) => [code(name), meaning]),
  ),
  fields: table(["field", "of", "supported", "how"], fieldRows()),
  resources: table(["Resource", "becomes"], RESOURCES),
  comparisons: table(["comparison", "in CEL"], comparisonRows()),
  intrinsics: table(
    ["function", "in CEL"],
    Object.entries(INTRINSICS).map(([name, { shown }]) => [
      code(name),
      shown === "" ? "**refused** (GV5001): expressions are deterministic" : code(shown),
    ]),
  ),
  context: table(
    ["context object", "in CEL"],
    [
      ...Object.entries(CONTEXT_VALUES).map(([name, cel]): Row => [code(`$$.${name}`), code(cel)]),
      [code("$$.State.Name"), "the name of the state"],
      ["everything else", "**refused** (GV5001)"],
    ],
  ),
  errors: table(
    ["error", "code here"],
    [
      [code("States.ALL"), "every code"],
      [code("States.TaskFailed"), "every code but `TIMEOUT`"],
      ...Object.entries(ERROR_CODES).map(([name, ours]): Row => [code(name), code(ours)]),
      ["every other name", "the code of that name"],
    ],
  ),
};

/** The document with its tables as they should be, each between its two marks. */
export function withTables(document: string): string {
  return Object.entries(TABLES).reduce((text, [name, rows]) => {
    const [begin, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from < 0 || to < from) throw new Error(`docs/dialects.md has no place for ${name}`);
    return `${text.slice(0, from + begin.length)}\n${rows}\n${text.slice(to)}`;
  }, document);
}
