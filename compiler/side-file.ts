/**
 * Files beside a workflow (mocks, tests of it), read as carefully as the workflow itself: by a JSON
 * Schema, with every problem at its line and column, and the name that was probably meant.
 */
import { Reporter, type Diagnostic } from "./diagnostics.ts";
import type { Json } from "./ir.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { reportShape } from "./report-shape.ts";
import { checkSchema } from "./schema-check.ts";
import { readSource } from "./source.ts";

/** A problem that no schema finds. */
export interface SideProblem {
  /** JSON pointer into the file. */
  pointer: string;
  message: string;
  /** The key at the pointer is wrong, not its value. */
  atKey?: boolean;
  /** A misspelt name and those that can be meant. */
  meant?: { name: string; known: Iterable<string> };
}

/** A file as it was read; `value` is undefined if it has not even the right shape. */
export class SideFile {
  readonly value: Json | undefined;
  readonly #reporter: Reporter | undefined;
  readonly #found: Diagnostic[];

  constructor(source: { text: string; file: string }, schema: object) {
    const read = readSource(source, DEFAULT_LIMITS);
    this.#found = read.diagnostics;
    if (read.value === undefined) {
      this.value = undefined;
      return;
    }
    this.#reporter = new Reporter(read.map, source.file);
    reportShape(checkSchema(schema, read.value), "", this.#reporter);
    this.value = this.#reporter.hasErrors ? undefined : read.value;
  }

  get diagnostics(): Diagnostic[] {
    return [...this.#found, ...(this.#reporter?.sorted() ?? [])];
  }

  /** Add a problem. */
  report({ pointer, message, atKey = false, meant }: SideProblem): void {
    const code = atKey ? "GV1011" : "GV1013";
    this.#reporter?.report({ code, pointer, message, atKey, ...(meant && { meant }) });
  }
}
