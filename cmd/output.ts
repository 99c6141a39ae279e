/**
 * What a command says: results to stdout, everything else to stderr.
 *
 * With `--json` stdout carries one JSON document and nothing else, errors included, so that a
 * program that reads it never has to look at stderr.
 */
import { errorCode } from "../sdk/errors.ts";

export interface OutputStreams {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  env?: { NO_COLOR?: string | undefined; TERM?: string | undefined };
}

/** Characters that a terminal obeys, but for the ends of lines and tabs. */
const CONTROL = /(?![\n\t])\p{Cc}/gu;

/**
 * Text that may come from a handler, an input or a name. In the form of JSON, so that a result that
 * is a line of JSON stays the same value.
 */
export function plainText(text: string): string {
  return text.replace(CONTROL, (char) => {
    return `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
  });
}

export class Output {
  /** Whether stdout carries one JSON document. */
  json = false;
  readonly #streams: OutputStreams;
  #documents = 0;

  constructor(streams: OutputStreams) {
    this.#streams = streams;
  }

  /** Whether somebody watches stderr, so that progress may be drawn. */
  get isLive(): boolean {
    return this.#streams.stderr.isTTY === true;
  }

  /** Whether what goes to stderr may be in colour: on a terminal, unless NO_COLOR is set. */
  get isColored(): boolean {
    const { NO_COLOR = "", TERM } = this.#streams.env ?? {};
    return this.isLive && NO_COLOR === "" && TERM !== "dumb";
  }

  get columns(): number {
    // Some pseudo-terminals say 0.
    return this.#streams.stderr.columns || 80;
  }

  /** A line of the result for people; nothing with `--json`. */
  line(text: string): void {
    if (!this.json) {
      this.#streams.stdout.write(`${plainText(text)}\n`);
    }
  }

  /** The result for programs; nothing without `--json`. */
  document(value: unknown): void {
    if (this.json && this.#documents++ === 0) {
      this.#streams.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    }
  }

  /** Text for programs in another form than ours, as it is; nothing with `--json`. */
  raw(text: string): void {
    if (!this.json) {
      this.#streams.stdout.write(text);
    }
  }

  /** A line that is no result: progress, a warning, where to go on. */
  note(text: string): void {
    this.#streams.stderr.write(`${plainText(text)}\n`);
  }

  /** Control sequences and text as they are, to where progress is drawn. */
  draw(text: string): void {
    this.#streams.stderr.write(text);
  }

  /** An error that ends the command. */
  error(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const code = errorCode(error);
    this.note(code === null ? `error: ${message}` : `error ${code}: ${message}`);
    const details = (error as { details?: unknown } | null)?.details;
    this.document({
      error: { code: code ?? "ERROR", message, ...(details === undefined ? {} : { details }) },
    });
  }

  /** Rows in columns; the first row is the head. With `--json` nothing. */
  table(rows: readonly (readonly string[])[]): void {
    for (const row of alignColumns(rows)) {
      this.line(row);
    }
  }
}

/** Rows as lines with aligned columns; the last column is not padded. */
export function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  }
  return rows.map((row) => {
    const cells = row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)));
    return cells.join("  ").trimEnd();
  });
}

/** A duration for people: `12 ms`, `3.4 s`, `2 min 5 s`. */
export function formatMs(ms: number): string {
  if (ms < 1000) {
    return `${Math.max(0, Math.round(ms))} ms`;
  }
  if (ms < 60_000) {
    return `${(ms / 1000).toFixed(1)} s`;
  }
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** A time for people and programs, "" or null stay what they are. */
export function formatTime(ms: number | null): string {
  return ms === null ? "" : new Date(ms).toISOString();
}
