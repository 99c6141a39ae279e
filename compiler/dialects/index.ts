/**
 * The dialects: other ways to write a workflow, each with a front end that makes a native document.
 *
 * A front end only rewrites. Whether the workflow makes sense is found out by the compiler, in the
 * native document, and told at the author's places (draft.ts). What a dialect says that has no
 * equal is reported: GV5001 if the workflow would not be the same without it, GV5002 otherwise.
 */
import { Reporter } from "../diagnostics.ts";
import type { Diagnostic } from "../diagnostics.ts";
import { asObject } from "../document.ts";
import type { JsonObject } from "../document.ts";
import type { Json } from "../ir.ts";
import type { SourceMap } from "../source-map.ts";
import { readAsl } from "./asl/index.ts";
import { detectDialect } from "./detect.ts";
import type { Dialect } from "./detect.ts";
import { Draft } from "./draft.ts";
import type { FrontEnd } from "./front-end.ts";
import { readGraph } from "./graph.ts";
import { readStates } from "./states.ts";
import { readSteps } from "./steps.ts";

export { DIALECT_NAMES } from "./detect.ts";
export type { Dialect } from "./detect.ts";

interface Spec {
  /** The key that no file of the dialect is without. */
  key: string;
  read: FrontEnd;
}

const FRONT_ENDS: Readonly<Record<Exclude<Dialect, "native">, Spec>> = {
  steps: { key: "steps", read: readSteps },
  states: { key: "states", read: readStates },
  graph: { key: "nodes", read: readGraph },
  asl: { key: "States", read: readAsl },
};

export interface NativeDocument {
  dialect: Dialect;
  value: Json;
  /** Places in the author's file for pointers into `value`. */
  map: SourceMap;
  /** What the front end has to say, at pointers of the source. */
  diagnostics: Diagnostic[];
  /** How many more there would be. */
  more: number;
}

/** The native document of a file in any dialect. Never throws for what the file holds. */
export function toNative(
  value: Json,
  map: SourceMap,
  options: { dialect?: Dialect | undefined; file?: string | undefined },
): NativeDocument {
  const dialect = options.dialect ?? detectDialect(value);
  const root = asObject(value);
  if (dialect === "native" || !root) {
    return { dialect: "native", value, map, diagnostics: [], more: 0 };
  }
  const reporter = new Reporter(map, options.file);
  const { key, read } = FRONT_ENDS[dialect];
  if (root[key] === undefined) {
    const message = `this is no file of the dialect \`${dialect}\`: it has no \`${key}\``;
    const hint = "leave `--dialect` out to have the dialect recognised";
    reporter.report({ code: "GV5003", pointer: "", message, hint });
    return { dialect, value: {}, map, diagnostics: reporter.diagnostics, more: 0 };
  }
  const draft = new Draft(value);
  const document = read(root, { draft, reporter, fileName: baseName(options.file) });
  const native: JsonObject = draft.at(document, "");
  const { diagnostics, more } = reporter;
  return { dialect, value: native, map: draft.mapOf(native, map), diagnostics, more };
}

/** A file's name without its folder and its endings. */
function baseName(file: string | undefined): string | undefined {
  const name = file?.replace(/^.*[\\/]/, "").replace(/(?:\.asl)?\.[A-Za-z]+$/, "");
  return name === undefined || name === "" || name.startsWith("<") ? undefined : name;
}

/**
 * The compiler's own diagnostics without those that only repeat a front end's: what was reported is
 * left out of the document or replaced, and the compiler may stumble over that.
 */
export function withoutEchoes(
  found: readonly Diagnostic[],
  front: readonly Diagnostic[],
): Diagnostic[] {
  const errors = front.filter(({ severity }) => severity === "error");
  if (errors.length === 0) return [...found];
  const isGraphWrong = errors.some(({ code }) => /^GV(?:2|5004)/.test(code));
  return found.filter(({ code, severity, pointer }) => {
    if (severity !== "error" || (isGraphWrong && code.startsWith("GV2"))) return false;
    const isMissing = code === "GV1012" || code === "GV4003" || code.startsWith("GV3");
    return !errors.some(
      (e) =>
        e.pointer === pointer ||
        pointer.startsWith(`${e.pointer}/`) ||
        (isMissing && e.pointer.startsWith(`${pointer}/`)),
    );
  });
}
