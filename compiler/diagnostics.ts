/**
 * Everything the compiler can complain about, and the collector of complaints.
 *
 * A code is never reused and never changes its meaning: people search for it and machines match on
 * it. GV1xxx concern the document, GV2xxx the graph, GV3xxx expressions, GV4xxx node kinds.
 *
 * Adding a code: add it here with a remedy that tells what to do, and a file in
 * test_data/invalid/ with a line in rules.test.ts that shows it.
 */
import type { SourceMap } from "./source-map.ts";

export type Severity = "error" | "warning";

export interface RelatedPlace {
  message: string;
  line: number;
  column: number;
  pointer: string;
}

export interface Diagnostic {
  code: DiagnosticCode;
  severity: Severity;
  message: string;
  hint?: string;
  file?: string;
  /** Both from 1, in UTF-16 units. */
  line: number;
  column: number;
  /** JSON pointer into the document. */
  pointer: string;
  related?: RelatedPlace[];
}

interface DiagnosticSpec {
  title: string;
  severity: Severity;
  remedy: string;
}

const error = (title: string, remedy: string): DiagnosticSpec => ({
  title,
  severity: "error",
  remedy,
});
const warning = (title: string, remedy: string): DiagnosticSpec => ({
  title,
  severity: "warning",
  remedy,
});

export const DIAGNOSTICS = {
  GV1001: error("not a text file", "give the workflow as UTF-8 text in JSON or YAML"),
  GV1002: error("empty file", "write at least a name and one node"),
  GV1003: error("syntax error", "correct the JSON or YAML at the place shown"),
  GV1004: error("duplicate key", "keep one of the two: the other would be lost in silence"),
  GV1005: error("not an object", "the document is an object with `nodes` and `edges`"),
  GV1006: error("document too large", "move data out of the workflow file, or raise the limit"),
  GV1007: error("nested too deep", "flatten the structure, or raise the limit"),
  GV1008: error("too many nodes or edges", "split the workflow, or raise the limit"),
  GV1009: error("bad alias", "write the value out where the alias stands"),
  GV1010: error("not a JSON value", "use strings, finite numbers, booleans, null, lists, objects"),
  GV1011: error("unknown property", "remove it, or correct its spelling"),
  GV1012: error("missing property", "add the property"),
  GV1013: error("wrong value", "give a value of the kind that the message names"),
  GV1014: error("duplicate node id", "give every node an id of its own"),
  GV1015: error("input_schema is not a JSON Schema", "write a JSON Schema of draft 2020-12"),
  GV1016: error("contradicting properties", "keep one of the two"),
  GV1017: warning("no name", "give the workflow a name under metadata.name"),
  GV1018: warning("unknown property in metadata", "remove it, or correct its spelling"),

  GV2001: error("edge to or from a node that does not exist", "name an existing node"),
  GV2002: error("self edge", "use a loop node to repeat a node"),
  GV2003: error("duplicate edge", "remove one, or give it another condition or `on`"),
  GV2004: error("no entry node", "a run starts at nodes without in-edges: leave one so"),
  GV2005: error("unreachable node", "draw an edge to it from a node that runs, or remove it"),
  GV2006: error("cycle without a loop", "make the last node of the cycle a loop node"),
  GV2007: warning("node without edges", "connect it; as it is, it starts with the run"),
  GV2010: error("loop without a limit", "set max_iterations to an integer from 1"),
  GV2011: error("loop goes back to a wrong place", "name the node itself or an earlier node"),
  GV2012: error("loop body entered elsewhere", "enter the body through its head only"),
  GV2013: error("loop body left elsewhere", "leave the body from the loop node only"),
  GV2014: error("overlapping loops", "make the loops disjoint, or one part of the other"),
  GV2015: error("two loops end at one node", "give each loop a node of its own to end at"),
  GV2016: error("loop without a condition", "say when another round is wanted"),
  GV2017: error("loops nested too deep", "move inner loops into a workflow of their own"),
  GV2018: warning("condition of a drawn back edge", "put it into the loop's own condition"),
  GV2020: error("join counts more than its in-edges", "lower the count, or add edges"),
  GV2021: error("two defaults", "give all but one of these edges a condition"),
  GV2022: error("edge never taken", "put it before the condition that always holds"),
  GV2023: warning("conditions may all be false", "add an edge without a condition"),
  GV2024: error("too many edges for this node", "split them over several nodes"),

  GV3001: error("expression does not parse", "correct it at the place shown"),
  GV3002: error("expression is wrong", "correct it at the place shown"),
  GV3003: error("JavaScript instead of CEL", "write it in CEL"),
  GV3004: error("reference to a node that does not exist", "name an existing node"),
  GV3005: error("reference to a node that is not upstream", "read only nodes that ran before"),
  GV3006: warning("reference to a node that only sometimes runs", "guard it with has(…)"),
  GV3007: error("iteration outside a loop", "read `iteration` in a loop body only"),
  GV3008: error("secrets outside http, llm and emit", "read secrets in those configs only"),
  GV3009: error("name not known here", "use a name that exists at this place"),

  GV4001: error("unknown node type", "use one of the node types"),
  GV4002: error("node type not supported yet", "use another node type for now"),
  GV4003: error("config does not fit the node type", "correct the value in config"),
  GV4004: warning("unknown key in config", "remove it, or correct its spelling"),
} as const satisfies Record<string, DiagnosticSpec>;

export type DiagnosticCode = keyof typeof DIAGNOSTICS;

export interface Report {
  code: DiagnosticCode;
  pointer: string;
  message: string;
  hint?: string | undefined;
  /** Show the key of the pointer's last part instead of its value. */
  atKey?: boolean;
  /** Offset into the string value at `pointer`. */
  offset?: number | undefined;
  related?: { message: string; pointer: string }[];
}

/** Collects diagnostics and gives each its place in the file. */
export class Reporter {
  readonly diagnostics: Diagnostic[] = [];
  readonly #map: SourceMap;
  readonly #file: string | undefined;

  constructor(map: SourceMap, file?: string) {
    this.#map = map;
    this.#file = file;
  }

  get hasErrors(): boolean {
    return this.diagnostics.some((d) => d.severity === "error");
  }

  report(report: Report): void {
    const { code, pointer, message } = report;
    const place = this.#map.locate(pointer, {
      atKey: report.atKey ?? false,
      ...(report.offset === undefined ? {} : { offset: report.offset }),
    });
    const diagnostic: Diagnostic = {
      code,
      severity: DIAGNOSTICS[code].severity,
      message,
      ...(report.hint === undefined ? {} : { hint: report.hint }),
      ...(this.#file === undefined ? {} : { file: this.#file }),
      ...place,
      pointer,
    };
    if (report.related) {
      diagnostic.related = report.related.map((r) => ({
        message: r.message,
        ...this.#map.locate(r.pointer),
        pointer: r.pointer,
      }));
    }
    this.diagnostics.push(diagnostic);
  }

  /** By place in the file; at one place in the order of the codes. */
  sorted(): Diagnostic[] {
    return this.diagnostics.toSorted(
      (a, b) =>
        a.line - b.line || a.column - b.column || (a.code < b.code ? -1 : a.code > b.code ? 1 : 0),
    );
  }
}

/** One diagnostic as text for people: `file:line:column severity code: message`, then hints. */
export function formatDiagnostic(d: Diagnostic): string {
  const place = `${d.file ?? "<workflow>"}:${d.line}:${d.column}`;
  const lines = [`${place} ${d.severity} ${d.code}: ${d.message}`];
  if (d.hint !== undefined) lines.push(`  hint: ${d.hint}`);
  for (const r of d.related ?? []) {
    lines.push(`  see:  ${d.file ?? "<workflow>"}:${r.line}:${r.column} ${r.message}`);
  }
  return lines.join("\n");
}
