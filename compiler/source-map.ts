/**
 * Where a value of the document stands in its text.
 *
 * Readers know offsets; people want lines and columns. A place is looked up only when there is
 * something to say about it, so nothing here is built in advance for a valid file except the start
 * of each line.
 */
import type { Range } from "./diagnostics.ts";

export interface Place {
  line: number;
  column: number;
}

export interface LocateOptions {
  /** The key of the last part instead of its value. */
  atKey?: boolean;
  /** Offset into the string value; ignored where its spelling cannot be followed. */
  offset?: number | undefined;
  /** Characters from `offset` on; without it, or 0, one character. */
  length?: number | undefined;
}

export interface SourceMap {
  /** The range of a pointer; of its nearest ancestor that exists if it does not exist. */
  locate(pointer: string, options?: LocateOptions): Range;
  /**
   * The range of a string's text without its quotes, or of a part of it, where other text of plain
   * letters can be put instead; undefined if there is none.
   */
  locateText(pointer: string, options?: LocateOptions): Range | undefined;
  /** The pointer in the author's file, if the document was made of another one. */
  origin?(pointer: string): string;
}

/** For documents that were handed over as objects: they have no text. */
export const NO_SOURCE: SourceMap = {
  locate: () => ({ line: 1, column: 1, end_line: 1, end_column: 1 }),
  locateText: () => undefined,
};

/** A value in the text, as far as places are concerned. Offsets; ends are exclusive. */
export interface PlacedNode {
  start: number;
  end: number;
  /** Offset in the text of an offset into the string value, where its spelling can be followed. */
  textAt?: ((offset: number) => number | undefined) | undefined;
  /** Length of the string value. */
  textLength?: number;
  /** How a number or word is written, where `start` and `end` are not its own (an alias). */
  spelling?: string | undefined;
  child(key: string): { key: PlacedNode; node: PlacedNode } | undefined;
}

/** Line and column of an offset, by binary search over the starts of lines. */
export class LineIndex {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
      this.#starts.push(at + 1);
    }
  }

  place(offset: number): Place {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#starts[low] ?? 0) + 1 };
  }

  range(start: number, end: number): Range {
    const last = this.place(Math.max(start, end));
    return { ...this.place(start), end_line: last.line, end_column: last.column };
  }
}

/** The map of a text whose values are found by walking `root`. */
export function createSourceMap(text: string, root: () => PlacedNode | undefined): SourceMap {
  const lines = new LineIndex(text);
  return {
    locate(pointer, options = {}) {
      const node = find(root(), pointer, options.atKey ?? false);
      if (!node) return lines.range(0, 0);
      const part = options.offset === undefined ? undefined : partOf(node, options);
      const { start, end } = part ?? node;
      return lines.range(start, end);
    },
    locateText(pointer, options = {}) {
      const node = find(root(), pointer, options.atKey ?? false);
      const part = node && partOf(node, { offset: 0, length: node.textLength, ...options });
      return part && lines.range(part.start, part.end);
    },
  };
}

/** The value or key at a pointer, or the nearest ancestor that exists. */
function find(
  root: PlacedNode | undefined,
  pointer: string,
  atKey: boolean,
): PlacedNode | undefined {
  let node = root;
  const parts = parsePointer(pointer);
  for (const [depth, part] of parts.entries()) {
    const found = node?.child(part);
    if (!found) return node;
    node = atKey && depth === parts.length - 1 ? found.key : found.node;
  }
  return node;
}

function partOf(
  node: PlacedNode,
  { offset = 0, length = 0 }: LocateOptions,
): { start: number; end: number } | undefined {
  const start = node.textAt?.(offset);
  if (start === undefined) return undefined;
  const end = node.textAt?.(offset + Math.max(length, 1));
  return { start, end: Math.max(start + 1, end ?? start + length) };
}

/** Append parts to a JSON pointer. */
export function joinPointer(base: string, ...parts: (string | number)[]): string {
  return parts.reduce<string>((pointer, part) => {
    const escaped = String(part).replaceAll("~", "~0").replaceAll("/", "~1");
    return `${pointer}/${escaped}`;
  }, base);
}

/** The parts of a JSON pointer. */
export function parsePointer(pointer: string): string[] {
  if (pointer === "") return [];
  const parts = pointer.slice(1).split("/");
  return parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}
