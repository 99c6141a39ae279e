/**
 * The lines of a file that a diagnostic is about, with the range marked.
 *
 *    4 |   - { id: a, time_out: 3 }          12 | /   - id: a
 *      |              ^^^^^^^^               13 | |     type: noop
 *                                               | |______________^
 *
 * Marks stand under what they mark also where characters are wide (CJK, emoji), have no width, or
 * are tabs. Long lines are cut around the range: a file can be one line of a megabyte. Characters
 * that a terminal would obey are shown by their number, so that a file cannot move the cursor or
 * turn the text of its own diagnostics around.
 */
import stringWidth from "string-width";
import type { Range } from "./diagnostics.ts";

export interface ExcerptOptions {
  /** Columns that the text of a line may take. */
  columns: number;
  /** Width of the line numbers. */
  gutter: number;
  mark: string;
  /** Set behind the mark. */
  label?: string;
  paint: (text: string) => string;
  dim: (text: string) => string;
}

/** Units of a line that are looked at on either side of a range. */
const NEAR_UNITS = 400;
const TAB = "    ";
/** Lines of a range that are shown before the others are left out. */
const RANGE_LINES_MAX = 4;
const ELLIPSIS = "…";

/** Controls, marks that change the direction of text, separators of lines, the byte order mark. */
const UNSAFE = /\p{Cc}|\p{Zl}|\p{Zp}|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** Text without characters that a terminal obeys. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The lines of a text, without their ends. */
export function splitLines(text: string): string[] {
  return text.replace(/^\uFEFF/, "").split(/\r?\n/);
}

/** The excerpt as lines; none if the file has no such line. */
export function excerpt(lines: readonly string[], range: Range, options: ExcerptOptions): string[] {
  const first = lines[range.line - 1];
  if (first === undefined) return [];
  return range.end_line > range.line
    ? severalLines(lines, range, options)
    : oneLine(first, range, options);
}

function oneLine(line: string, range: Range, options: ExcerptOptions): string[] {
  const { mark, paint, label } = options;
  const cut = cutLine(line, range.column - 1, range.end_column - 1, options.columns);
  const marks = mark.repeat(Math.max(1, cut.width));
  const behind = label === undefined ? "" : ` ${label}`;
  return [
    `${number(range.line, options)} ${cut.text}`.trimEnd(),
    `${number(undefined, options)} ${" ".repeat(cut.before)}${paint(marks + behind)}`,
  ];
}

function severalLines(lines: readonly string[], range: Range, options: ExcerptOptions): string[] {
  const { paint, mark, columns, label } = options;
  const last = Math.min(range.end_line, lines.length);
  const shown = Array.from({ length: last - range.line + 1 }, (_, i) => range.line + i).filter(
    (line) => line - range.line < RANGE_LINES_MAX - 1 || line === last,
  );
  const result: string[] = [];
  let before = range.line - 1;
  for (const line of shown) {
    if (line > before + 1) result.push(`${number(undefined, options)} ${paint("|")} ${ELLIPSIS}`);
    before = line;
    const bar = paint(line === range.line ? "/" : "|");
    const from = line === range.line ? range.column - 1 : 0;
    const { text } = cutLine(lines[line - 1] ?? "", from, from + 1, columns - 2);
    result.push(`${number(line, options)} ${bar} ${text}`.trimEnd());
  }
  const end = cutLine(lines[last - 1] ?? "", 0, Math.max(0, range.end_column - 1), columns - 2);
  const behind = label === undefined ? "" : ` ${label}`;
  const marked = `|${"_".repeat(Math.max(1, end.width))}${mark}${behind}`;
  return [...result, `${number(undefined, options)} ${paint(marked)}`];
}

/** `  12 |`, or only the bar. */
function number(line: number | undefined, { gutter, dim }: ExcerptOptions): string {
  return dim(`${String(line ?? "").padStart(gutter)} |`);
}

interface Cell {
  text: string;
  width: number;
  isMarked: boolean;
}

/** A part of a line that fits, with the width in front of the marked part and its own. */
function cutLine(
  line: string,
  from: number,
  to: number,
  columns: number,
): { text: string; before: number; width: number } {
  const start = Math.max(0, from - NEAR_UNITS);
  const end = Math.min(line.length, from + 2 * NEAR_UNITS);
  const cells = cellsOf(line.slice(start, end), from - start, to - start);
  const firstMarked = cells.findIndex((cell) => cell.isMarked);
  const marked = firstMarked < 0 ? cells.length : firstMarked;
  const rest = cells.slice(marked);
  const fits = start === 0 && widthOf(cells) <= columns;
  // Up to half of the line is the marked part, and a little behind it shall be seen as well.
  const room = columns - 2 - Math.min(widthOf(rest), Math.floor(columns / 2));
  let left = 0;
  if (!fits) {
    left = marked;
    for (let width = 0; left > 0; left--) {
      width += cells[left - 1]?.width ?? 0;
      if (width > room) break;
    }
  }
  const isCutLeft = left > 0 || start > 0;
  const head = isCutLeft ? ELLIPSIS : "";
  const kept: Cell[] = [];
  let width = head.length;
  for (const cell of cells.slice(left)) {
    if (width + cell.width > columns - 1 && !fits) break;
    kept.push(cell);
    width += cell.width;
  }
  const isCutRight = left + kept.length < cells.length || end < line.length;
  const text = head + kept.map((cell) => cell.text).join("") + (isCutRight ? ELLIPSIS : "");
  const before = head.length + widthOf(kept.slice(0, Math.max(0, marked - left)));
  return { text, before, width: widthOf(kept.filter((cell) => cell.isMarked)) };
}

function cellsOf(text: string, from: number, to: number): Cell[] {
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
  return Array.from(segmenter.segment(text), ({ segment, index }) => {
    const shown = segment === "\t" ? TAB : visible(segment);
    const isMarked = index < to && index + segment.length > from;
    return { text: shown, width: stringWidth(shown), isMarked };
  });
}

function widthOf(cells: readonly Cell[]): number {
  return cells.reduce((sum, cell) => sum + cell.width, 0);
}
