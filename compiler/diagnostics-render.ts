/**
 * Diagnostics for people: what, where, the lines themselves, and what to do.
 *
 *   error[GV1011]: unknown property `time_out`
 *     --> w.yaml:3:29
 *      |
 *    3 |   - { id: a, time_out: 3 }
 *      |              ^^^^^^^^
 *      = help: did you mean `timeout_ms`?
 */
import { DIAGNOSTICS } from "./codes/index.ts";
import { excerpt, splitLines, visible } from "./diagnostics-excerpt.ts";
import type { Diagnostic, RelatedPlace } from "./diagnostics.ts";

export interface RenderOptions {
  /** With control sequences for colour; without by default. */
  color?: boolean;
  /** Of the terminal; 100 by default. */
  columns?: number;
  /** Diagnostics that are shown at most; 100 by default. */
  shownMax?: number;
}

type Style = "error" | "warning" | "dim" | "bold" | "help";
type Painter = (style: Style, text: string) => string;

const CODES: { readonly [S in Style]: string } = {
  error: "1;31",
  warning: "1;33",
  dim: "34",
  bold: "1",
  help: "36",
};

const plain: Painter = (_, text) => text;
const colored: Painter = (style, text) =>
  text === "" ? "" : `\u001b[${CODES[style]}m${text}\u001b[0m`;

const COLUMNS_MIN = 40;

/**
 * All of them as one text without a newline at its end; "" if there are none. `text` is the file
 * they are about; without it no lines are shown. `more` were found and not kept.
 */
export function renderDiagnostics(
  diagnostics: readonly Diagnostic[],
  text: string | undefined,
  { color = false, columns = 100, shownMax = 100 }: RenderOptions = {},
  more = 0,
): string {
  if (diagnostics.length === 0) return "";
  const lines = text === undefined ? [] : splitLines(text);
  const paint = color ? colored : plain;
  const shown = mostUseful(diagnostics, shownMax);
  const blocks = shown.map((diagnostic) => renderOne(diagnostic, lines, columns, paint));
  const left = diagnostics.length - shown.length + more;
  if (left > 0) blocks.push(paint("bold", `… and ${left} more`));
  return blocks.join("\n\n");
}

/** If not all can be shown, errors go before warnings; in the order of the file. */
function mostUseful(diagnostics: readonly Diagnostic[], max: number): readonly Diagnostic[] {
  if (diagnostics.length <= max) return diagnostics;
  const errors = diagnostics.filter((d) => d.severity === "error").slice(0, max);
  const room = max - errors.length;
  const warnings = diagnostics.filter((d) => d.severity === "warning").slice(0, room);
  const kept = new Set([...errors, ...warnings]);
  return diagnostics.filter((d) => kept.has(d));
}

function renderOne(
  d: Diagnostic,
  lines: readonly string[],
  columns: number,
  paint: Painter,
): string {
  const places = [d, ...(d.related ?? [])];
  const gutter = Math.max(2, ...places.map((p) => String(p.end_line).length)) + 1;
  const bar = paint("dim", `${" ".repeat(gutter)} |`);
  const show = (place: Diagnostic | RelatedPlace, mark: string, label?: string): string[] => {
    const style = mark === "^" ? d.severity : "dim";
    const rows = excerpt(lines, place, {
      columns: Math.max(COLUMNS_MIN, columns - gutter - 4),
      ...{ gutter, mark, ...(label === undefined ? {} : { label }) },
      paint: (text) => paint(style, text),
      dim: (text) => paint("dim", text),
    });
    return rows.length > 0 ? [bar, ...rows] : [];
  };
  const file = visible(d.file ?? "<workflow>");
  const arrow = (sign: string, { line, column }: Diagnostic | RelatedPlace): string =>
    `${" ".repeat(gutter)}${paint("dim", sign)} ${file}:${line}:${column}`;
  const related = (d.related ?? []).flatMap((place) => {
    const message = visible(place.message);
    const shown = show(place, "-", message);
    const head = arrow(":::", place);
    return shown.length > 0 ? [head, ...shown] : [`${head} ${message}`];
  });
  const help = visible(d.hint ?? DIAGNOSTICS[d.code].remedy);
  return [
    `${paint(d.severity, `${d.severity}[${d.code}]`)}${paint("bold", `: ${visible(d.message)}`)}`,
    arrow("-->", d),
    ...show(d, "^"),
    ...related,
    `${" ".repeat(gutter)} ${paint("dim", "=")} ${paint("help", "help:")} ${help}`,
  ].join("\n");
}

/** How many there are: `3 errors, 1 warning`; "no errors" if none. */
export function summarise(diagnostics: readonly Diagnostic[]): string {
  const count = (severity: string): number =>
    diagnostics.filter((d) => d.severity === severity).length;
  const parts = (["error", "warning"] as const)
    .filter((severity) => count(severity) > 0)
    .map((severity) => `${count(severity)} ${severity}${count(severity) === 1 ? "" : "s"}`);
  return parts.length === 0 ? "no errors" : parts.join(", ");
}
