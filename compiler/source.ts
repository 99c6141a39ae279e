/**
 * From text to a JSON value and a map of places, or to the reasons why not.
 *
 * JSON is read strictly; YAML 1.2 as far as it can be JSON. Limits come first: a file over its size
 * is not looked into at all.
 */
import { assertWritten } from "../condition/json-text.ts";
import { Reporter } from "./diagnostics.ts";
import type { Diagnostic, DiagnosticCode } from "./diagnostics.ts";
import type { Dialect } from "./dialects/detect.ts";
import { scanJson, SyntaxProblem } from "./json-source.ts";
import type { DuplicateKey, HugeNumber } from "./json-source.ts";
import type { Json } from "./ir.ts";
import type { Limits } from "./limits.ts";
import { asObject, own } from "./document.ts";
import { createSourceMap, joinPointer, NO_SOURCE } from "./source-map.ts";
import type { PlacedNode, SourceMap } from "./source-map.ts";
import { readYaml } from "./yaml-source.ts";

const SHOWN_CHARS_MAX = 30;

export type SourceFormat = "json" | "yaml";

/** `dialect`: the one that the file is written in; without it, it is told by its shape. */
export type WorkflowSource = ({ text: string; format?: SourceFormat } | { document: unknown }) & {
  file?: string;
  dialect?: Dialect;
};

export type ReadSource =
  | { value: Json; map: SourceMap; diagnostics: Diagnostic[] }
  | { value: undefined; diagnostics: Diagnostic[] };

/** Read a source of either form. Never throws for what the source holds. */
export function readSource(source: WorkflowSource, limits: Limits): ReadSource {
  if ("document" in source) return readDocument(source.document, source.file, limits);
  // A byte order mark is no part of the text; JSON.parse would refuse it.
  const text = source.text.startsWith("\uFEFF") ? source.text.slice(1) : source.text;
  const refused = refuseText(text, limits);
  if (refused) return failed({ ...refused, text, file: source.file });
  const format = source.format ?? formatOf(text, source.file);
  try {
    return format === "json"
      ? readJson(text, source.file, limits)
      : readYamlText(text, source.file, limits);
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    const code = error.isDepth ? "GV1007" : "GV1003";
    const { message, offset, hint, fix } = error;
    return failed({ code, message, text, offset, file: source.file, hint, fix });
  }
}

/** The format of a text whose file has this name. */
export function formatOf(text: string, file: string | undefined): SourceFormat {
  if (file !== undefined && /\.ya?ml$/i.test(file)) return "yaml";
  if (file !== undefined && /\.json$/i.test(file)) return "json";
  return /^\s*[{[]/.test(text) ? "json" : "yaml";
}

function refuseText(
  text: string,
  limits: Limits,
): { code: DiagnosticCode; message: string; offset: number } | undefined {
  // UTF-8 never has fewer bytes than UTF-16 has units, so the cheap test comes first.
  const isOver = text.length > limits.bytes || Buffer.byteLength(text) > limits.bytes;
  if (isOver) {
    const message = `the document is larger than ${limits.bytes} bytes`;
    return { code: "GV1006", message, offset: 0 };
  }
  const control = findBinary(text);
  if (control >= 0) {
    return { code: "GV1001", message: "the file is not UTF-8 text", offset: control };
  }
  if (text.trim() === "") return { code: "GV1002", message: "the file is empty", offset: 0 };
  return undefined;
}

/** Offset of the first character that no text file has, or -1. */
function findBinary(text: string): number {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const isControl = code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d;
    // A decoder puts U+FFFD where the bytes were not UTF-8.
    if (isControl || code === 0xfffd) return at;
  }
  return -1;
}

function readJson(text: string, file: string | undefined, limits: Limits): ReadSource {
  const { root, duplicates, huge } = scanJson(text, limits.depth);
  const map = createSourceMap(text, () => root);
  const reporter = new Reporter(map, file);
  reportDuplicates(duplicates, reporter);
  reportHuge(huge, reporter);
  if (reporter.hasErrors) return { value: undefined, diagnostics: reporter.sorted() };
  try {
    const value = JSON.parse(text) as Json;
    keepVersions(value, root, text);
    return { value, map, diagnostics: [] };
  } catch (error) {
    throw new SyntaxProblem(error instanceof Error ? error.message : String(error), 0);
  }
}

function reportDuplicates(duplicates: readonly DuplicateKey[], reporter: Reporter): void {
  for (const { pointer, key } of duplicates) {
    reporter.report({
      code: "GV1004",
      pointer: joinPointer("", ...pointer),
      atKey: true,
      message: `the key \`${key}\` occurs twice`,
    });
  }
}

function reportHuge(huge: readonly HugeNumber[], reporter: Reporter): void {
  for (const { pointer, text } of huge) {
    const shown = text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text;
    const message = `the number ${shown} is beyond 1.8e308, the largest that there is`;
    const hint = "give it as text, in quotes";
    reporter.report({ code: "GV1010", pointer: joinPointer("", ...pointer), message, hint });
  }
}

function readYamlText(text: string, file: string | undefined, limits: Limits): ReadSource {
  const { value, root, problems } = readYaml(text, limits.depth);
  if (problems.length > 0) {
    return refuse(problems, text, file);
  }
  if (root === undefined) {
    return failed({ code: "GV1002", message: "the file is empty", text, offset: 0, file });
  }
  keepVersions(value, root, text);
  return { value, map: createSourceMap(text, () => root), diagnostics: [] };
}

/**
 * A version that is written as a number is what the file says: `1.10` is another version than `1.1`,
 * though not another number.
 */
function keepVersions(value: Json, root: PlacedNode, text: string): void {
  const inner = asObject(own(asObject(value) ?? {}, "metadata") ?? null);
  const places = [
    { holder: asObject(value), placed: root },
    { holder: inner, placed: root.child("metadata")?.node },
  ];
  for (const { holder, placed } of places) {
    const version = placed?.child("version")?.node;
    if (!holder || !version || typeof own(holder, "version") !== "number") continue;
    holder["version"] = version.spelling ?? text.slice(version.start, version.end);
  }
}

function readDocument(document: unknown, file: string | undefined, limits: Limits): ReadSource {
  let text: string | undefined;
  try {
    text = JSON.stringify(document);
    assertWritten(document, text);
  } catch (error) {
    if (text !== undefined && error instanceof RangeError) {
      return failed({
        code: "GV1010",
        message: `there is ${error.message}`,
        text,
        offset: 0,
        file,
      });
    }
    // A cycle, a bigint, or nesting that exhausts the stack.
  }
  if (text === undefined) {
    const message = "the document is not a JSON value";
    return failed({ code: "GV1010", message, text: "", offset: 0, file });
  }
  const read = readSource({ text, format: "json" }, limits);
  const map = NO_SOURCE;
  if (read.value !== undefined) return { value: read.value, map, diagnostics: [] };
  const reporter = new Reporter(map, file);
  for (const { code, pointer, message } of read.diagnostics) {
    reporter.report({ code, pointer, message });
  }
  return { value: undefined, diagnostics: reporter.diagnostics };
}

/** A problem of the text itself, for which there is no document to point into. */
interface TextProblem {
  code: DiagnosticCode;
  message: string;
  offset: number;
  end?: number;
  hint?: string | undefined;
  fix?: string | undefined;
  pointer?: string;
}

type Failed = { value: undefined; diagnostics: Diagnostic[] };

function failed({
  text,
  file,
  ...problem
}: TextProblem & { text: string; file: string | undefined }): Failed {
  return refuse([problem], text, file);
}

function refuse(problems: readonly TextProblem[], text: string, file: string | undefined): Failed {
  let root: PlacedNode | undefined;
  const reporter = new Reporter(
    createSourceMap(text, () => root),
    file,
  );
  for (const { code, message, offset, end = offset + 1, hint, fix, pointer = "" } of problems) {
    const textAt = (at: number): number => offset + at;
    root = { start: offset, end, textAt, textLength: 1, child: () => undefined };
    reporter.report({ code, pointer, message, hint, fix });
  }
  return { value: undefined, diagnostics: reporter.sorted() };
}
