/**
 * Diagnostics and their collector. The codes are in codes/, how diagnostics look in
 * diagnostics-render.ts (people) and diagnostics-sarif.ts (programs).
 *
 * A file of a megabyte can be wrong in a million places. So a collector keeps a bounded number and
 * counts the rest, and so is the work for suggestions bounded: comparing every misspelt id with
 * every known one would take minutes where all are wrong.
 */
import { DIAGNOSTICS } from "./codes/index.ts";
import type { DiagnosticCode } from "./codes/index.ts";
import type { Severity } from "./codes/code.ts";
import type { Place, SourceMap } from "./source-map.ts";
import { findMeant } from "./suggest.ts";

export { DIAGNOSTICS } from "./codes/index.ts";
export type { DiagnosticCode } from "./codes/index.ts";
export type { Severity } from "./codes/code.ts";

/** Errors, and warnings, that are kept of one file. */
export const REPORTED_MAX = 1000;

/** Names that are compared for suggestions, in one file. */
const COMPARED_MAX = 200_000;

/** From the first character to the one behind the last. All from 1, columns in UTF-16 units. */
export interface Range {
  line: number;
  column: number;
  end_line: number;
  end_column: number;
}

export interface RelatedPlace extends Range {
  message: string;
  pointer: string;
}

/** A change that would put it right, as far as it goes: `text` instead of the range. */
export interface Fix extends Range {
  text: string;
}

export interface Diagnostic extends Range {
  code: DiagnosticCode;
  severity: Severity;
  message: string;
  hint?: string;
  fix?: Fix;
  file?: string;
  /** JSON pointer into the document. */
  pointer: string;
  related?: RelatedPlace[];
}

export interface Report {
  code: DiagnosticCode;
  pointer: string;
  message: string;
  hint?: string | undefined;
  /** A misspelt name and those that can be meant; it is the key or string that is shown. */
  meant?: { name: string; known: Iterable<string> };
  /**
   * What to write instead, for the key or string at `pointer`, or for a part of the string. Null:
   * nothing, though the name that is meant is known.
   */
  fix?: string | { text: string; offset: number; length: number } | null | undefined;
  /** Show the key of the pointer's last part instead of its value. */
  atKey?: boolean;
  /** Offset into the string value at `pointer`. */
  offset?: number | undefined;
  /** Characters from `offset` on. */
  length?: number | undefined;
  related?: { message: string; pointer: string }[];
}

/** Collects diagnostics and gives each its place in the file. */
export class Reporter {
  readonly diagnostics: Diagnostic[] = [];
  /** Diagnostics that were left out. */
  more = 0;
  hasErrors = false;
  readonly #map: SourceMap;
  readonly #file: string | undefined;
  readonly #kept = { error: 0, warning: 0 };
  #compared = 0;

  constructor(map: SourceMap, file?: string) {
    this.#map = map;
    this.#file = file;
  }

  report(report: Report): void {
    const { code, pointer, message } = report;
    const { severity } = DIAGNOSTICS[code];
    this.hasErrors ||= severity === "error";
    if (++this.#kept[severity] > REPORTED_MAX) {
      this.more++;
      return;
    }
    const atKey = report.atKey ?? false;
    const name = report.meant && this.#nearest(report.meant.name, report.meant.known);
    const hint = name === undefined ? report.hint : `did you mean \`${name}\`?`;
    const { offset, length = 0 } = report;
    const named = offset === undefined || !name ? name : { text: name, offset, length };
    const fix = this.#fix(pointer, atKey, report.fix === undefined ? named : report.fix);
    const origin = (at: string): string => this.#map.origin?.(at) ?? at;
    const diagnostic: Diagnostic = {
      code,
      severity,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(fix === undefined ? {} : { fix }),
      ...(this.#file === undefined ? {} : { file: this.#file }),
      ...this.#map.locate(pointer, { atKey, offset, length }),
      pointer: origin(pointer),
    };
    if (report.related) {
      diagnostic.related = report.related.map((r) => ({
        message: r.message,
        ...this.#map.locate(r.pointer),
        pointer: origin(r.pointer),
      }));
    }
    this.diagnostics.push(diagnostic);
  }

  /** By place in the file; at one place in the order of the codes. */
  sorted(): Diagnostic[] {
    return sortDiagnostics(this.diagnostics);
  }

  #fix(pointer: string, atKey: boolean, fix: Report["fix"]): Fix | undefined {
    if (fix === undefined || fix === null) return undefined;
    const part = typeof fix === "string" ? { text: fix } : fix;
    const range = this.#map.locateText(pointer, { ...part, atKey });
    return range && { ...range, text: part.text };
  }

  #nearest(name: string, known: Iterable<string>): string | undefined {
    if (this.#compared > COMPARED_MAX) return undefined;
    const names = [...known];
    this.#compared += names.length;
    return findMeant(name, names);
  }
}

/** By place in the file; at one place in the order of the codes. */
export function sortDiagnostics(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted(
    (a, b) =>
      a.line - b.line || a.column - b.column || (a.code < b.code ? -1 : a.code > b.code ? 1 : 0),
  );
}

/** One diagnostic in short: `file:line:column severity code: message`, then hints. */
export function formatDiagnostic(d: Diagnostic): string {
  const file = d.file ?? "<workflow>";
  const placed = ({ line, column }: Place): string => `${file}:${line}:${column}`;
  const lines = [`${placed(d)} ${d.severity} ${d.code}: ${d.message}`];
  if (d.hint !== undefined) lines.push(`  hint: ${d.hint}`);
  for (const r of d.related ?? []) lines.push(`  see:  ${placed(r)} ${r.message}`);
  return lines.join("\n");
}
