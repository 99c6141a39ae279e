/**
 * Where a value of the document stands in its text.
 *
 * Readers know offsets; people want lines and columns. A place is looked up only when there is
 * something to say about it, so nothing here is built in advance for a valid file except the start
 * of each line.
 */
export interface Place {
  line: number;
  column: number;
}

export interface LocateOptions {
  /** The key of the last part instead of its value. */
  atKey?: boolean;
  /** Offset into the string value; ignored where the text spells the string differently. */
  offset?: number;
}

export interface SourceMap {
  /** The place of a pointer; of its nearest ancestor that exists if it does not exist. */
  locate(pointer: string, options?: LocateOptions): Place;
}

/** For documents that were handed over as objects: they have no text. */
export const NO_SOURCE: SourceMap = { locate: () => ({ line: 1, column: 1 }) };

/** A value in the text, as far as places are concerned. */
export interface PlacedNode {
  start: number;
  /** Offset of a string's first character, if the text spells it without escapes in one line. */
  textStart?: number | undefined;
  child(key: string): { key: number; node: PlacedNode } | undefined;
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
}

/** The map of a text whose values are found by walking `root`. */
export function createSourceMap(text: string, root: () => PlacedNode | undefined): SourceMap {
  const lines = new LineIndex(text);
  return {
    locate(pointer, options = {}) {
      let node = root();
      if (!node) return { line: 1, column: 1 };
      let start = node.start;
      const parts = parsePointer(pointer);
      for (const [depth, part] of parts.entries()) {
        const found: { key: number; node: PlacedNode } | undefined = node.child(part);
        if (!found) return lines.place(start);
        node = found.node;
        const isLast = depth === parts.length - 1;
        start = isLast && options.atKey ? found.key : node.start;
      }
      if (options.offset !== undefined && node.textStart !== undefined) {
        return lines.place(node.textStart + options.offset);
      }
      return lines.place(start);
    },
  };
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
