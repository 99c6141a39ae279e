/**
 * The mocks of a simulation: what steps answer that reach outside, how long they take, and what
 * people and other programs say to the run. YAML or JSON; everything wrong is said at once, with
 * line and column.
 */
import { LineCounter, parseDocument } from "yaml";
import type { Document } from "yaml";
import type { Decision, Signal } from "../../compiler/reference/index.ts";
import type { Json } from "../../compiler/index.ts";
import { nearestName } from "../../condition/suggest.ts";
import { GavotteError } from "../../sdk/errors.ts";

/** What one step answers. */
export interface Mock {
  /** Of every attempt that does not fail; default the step's own input. */
  output?: Json;
  /** Fails with this; of every attempt, or of the first `attempts`. */
  error?: { code: string; message: string; retryable?: boolean };
  /** Runs out of its time, likewise. */
  timeout?: boolean;
  attempts?: number;
  /** Virtual time; a pair is a range, drawn evenly by the seed. Default 0. */
  duration_ms?: number | [number, number];
}

export interface Mocks {
  /** By node id. */
  nodes: ReadonlyMap<string, Mock>;
  /** By function name; a node's own mock comes first. */
  functions: ReadonlyMap<string, Mock>;
  signals: Signal[];
  decisions: Decision[];
}

export const NO_MOCKS: Mocks = {
  ...{ nodes: new Map(), functions: new Map(), signals: [], decisions: [] },
};

const TOP = ["nodes", "functions", "signals", "decisions"];
const MOCK = ["output", "error", "timeout", "attempts", "duration_ms"];
const SIGNAL = ["name", "value", "at_ms"];
const DECISION = ["node", "by", "approved", "data", "at_ms"];

type JsonObject = { [key: string]: Json };

/** Reads a text. `nodes`: ids that there are. Throws GV_BAD_INPUT with every problem. */
export function readMocks(text: string, file: string, nodes: readonly string[]): Mocks {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, maxAliasCount: 100 } as never);
  const [broken] = document.errors;
  if (broken !== undefined) {
    throw new GavotteError("GV_BAD_INPUT", `${file}: ${broken.message}`);
  }
  const reader = new Reader(document, lines, file);
  const mocks = reader.read((document.toJS() ?? {}) as Json, nodes);
  if (reader.problems.length > 0) {
    throw new GavotteError("GV_BAD_INPUT", reader.problems.join("\n"));
  }
  return mocks;
}

/** Mocks that stand inside another document (a test file), read the same way. */
export function mocksOf(value: Json, where: string, nodes: readonly string[]): Mocks {
  return readMocks(JSON.stringify(value, null, 1), where, nodes);
}

class Reader {
  readonly problems: string[] = [];
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #file: string;

  constructor(document: Document, lines: LineCounter, file: string) {
    this.#document = document;
    this.#lines = lines;
    this.#file = file;
  }

  read(root: Json, nodes: readonly string[]): Mocks {
    const top = this.#object(root, []);
    this.#known(top, [], TOP);
    const byNode = this.#object(top["nodes"] ?? {}, ["nodes"]);
    this.#known(byNode, ["nodes"], nodes);
    const byFunction = this.#object(top["functions"] ?? {}, ["functions"]);
    return {
      nodes: this.#mocks(byNode, "nodes"),
      functions: this.#mocks(byFunction, "functions"),
      signals: this.#list(top["signals"], ["signals"]).map((entry, i) => {
        const at = ["signals", i];
        this.#known(entry, at, SIGNAL);
        const name = this.#text(entry["name"], [...at, "name"]);
        return { name, value: entry["value"] ?? null, at: this.#number(entry["at_ms"], at, 0) };
      }),
      decisions: this.#list(top["decisions"], ["decisions"]).map((entry, i) => {
        const at = ["decisions", i];
        this.#known(entry, at, DECISION);
        return {
          node: this.#text(entry["node"], [...at, "node"]),
          by: this.#text(entry["by"] ?? "somebody", [...at, "by"]),
          approved: entry["approved"] !== false,
          ...(entry["data"] === undefined ? {} : { data: entry["data"] }),
          at: this.#number(entry["at_ms"], at, 0),
        };
      }),
    };
  }

  #mocks(entries: JsonObject, under: string): Map<string, Mock> {
    return new Map(
      Object.entries(entries).map(([name, value]) => {
        const at = [under, name];
        const mock = this.#object(value, at);
        this.#known(mock, at, MOCK);
        const { error } = mock;
        if (error !== undefined) {
          this.#text(this.#object(error, [...at, "error"])["code"], [...at, "error", "code"]);
        }
        const duration = mock["duration_ms"];
        const isRange = Array.isArray(duration) && duration.length === 2;
        for (const part of isRange ? duration : [duration ?? 0]) {
          this.#number(part, [...at, "duration_ms"], 0);
        }
        return [name, mock as Mock];
      }),
    );
  }

  #known(object: JsonObject, at: (string | number)[], names: readonly string[]): void {
    for (const key of Object.keys(object)) {
      if (!names.includes(key)) {
        const near = nearestName(key, names);
        const hint = near === undefined ? `there is: ${names.join(", ")}` : `did you mean ${near}?`;
        this.#problem([...at, key], `\`${key}\` means nothing here; ${hint}`);
      }
    }
  }

  #object(value: Json | undefined, at: (string | number)[]): JsonObject {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value;
    }
    this.#problem(at, "must be an object");
    return {};
  }

  #list(value: Json | undefined, at: (string | number)[]): JsonObject[] {
    if (value === undefined) return [];
    if (!Array.isArray(value)) this.#problem(at, "must be a list");
    return (Array.isArray(value) ? value : []).map((entry, i) => this.#object(entry, [...at, i]));
  }

  #text(value: Json | undefined, at: (string | number)[]): string {
    if (typeof value === "string" && value !== "") return value;
    this.#problem(at, "must be a text");
    return "";
  }

  #number(value: Json | undefined, at: (string | number)[], missing: number): number {
    if (value === undefined) return missing;
    if (typeof value === "number" && value >= 0) return value;
    this.#problem(at, "must be a number of milliseconds, 0 or more");
    return missing;
  }

  /** Line and column of the deepest part of the path that is there. */
  #problem(at: (string | number)[], what: string): void {
    let path = at;
    let node = this.#document.getIn(path, true) as { range?: [number, number, number] } | undefined;
    while (node?.range === undefined && path.length > 0) {
      path = path.slice(0, -1);
      node = this.#document.getIn(path, true) as { range?: [number, number, number] } | undefined;
    }
    const { line, col } = this.#lines.linePos(node?.range?.[0] ?? 0);
    this.problems.push(`${this.#file}:${line}:${col} /${at.join("/")}: ${what}`);
  }
}
