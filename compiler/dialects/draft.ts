/**
 * A native document in the making, and where in the author's file its parts come from.
 *
 * A front end builds plain JSON and says of its objects, and of single keys, which place of the
 * source they stand for. Nothing else has to be said: below such a place a key of the same name is
 * that key of the source, and a part without any counterpart is shown at the nearest one that has.
 * So whatever the compiler finds later is reported at the author's words, though it reads others.
 */
import { asObject } from "../document.ts";
import type { JsonObject } from "../document.ts";
import type { Json } from "../ir.ts";
import { joinPointer, parsePointer } from "../source-map.ts";
import type { SourceMap } from "../source-map.ts";

interface Origin {
  pointer: string;
  /** It is the counterpart itself, and not the nearest part that has one. */
  isExact: boolean;
}

export class Draft {
  readonly #source: Json;
  readonly #objects = new WeakMap<object, string>();
  readonly #keys = new WeakMap<object, Map<string, string>>();

  constructor(source: Json) {
    this.#source = source;
  }

  /** `part` stands for the value at `pointer` of the source; gives `part` back. */
  at<T extends object>(part: T, pointer: string): T {
    this.#objects.set(part, pointer);
    return part;
  }

  /** The value under `key` of `part` stands for the value at `pointer` of the source. */
  key(part: object, key: string | number, pointer: string): void {
    const keys = this.#keys.get(part) ?? new Map<string, string>();
    this.#keys.set(part, keys.set(String(key), pointer));
  }

  /** `copy` has the keys of `part` from where they came; gives `copy` back. */
  like<T extends object>(copy: T, part: object): T {
    const [at, keys] = [this.#objects.get(part), this.#keys.get(part)];
    if (at !== undefined) this.#objects.set(copy, at);
    if (keys) this.#keys.set(copy, new Map(keys));
    return copy;
  }

  /** Set a key and where it comes from. */
  set(part: JsonObject, key: string, value: Json, pointer: string): void {
    // A key such as `__proto__` is data and must not reach a setter.
    Object.defineProperty(part, key, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
    this.key(part, key, pointer);
  }

  /** The source map of the finished document, made of the one of its source. */
  mapOf(root: Json, map: SourceMap): SourceMap {
    const find = (pointer: string): Origin => this.#originOf(root, pointer);
    const isVerbatim = (pointer: string, from: Origin, atKey = false): boolean =>
      atKey
        ? parsePointer(pointer).at(-1) === parsePointer(from.pointer).at(-1)
        : valueAt(root, pointer) === valueAt(this.#source, from.pointer);
    return {
      origin: (pointer) => find(pointer).pointer,
      locate: (pointer, options = {}) => {
        const from = find(pointer);
        const { offset, length, atKey = false } = options;
        const isText = from.isExact && isVerbatim(pointer, from);
        const part = isText && offset !== undefined ? { offset, length } : {};
        return map.locate(from.pointer, { atKey: atKey && from.isExact, ...part });
      },
      locateText: (pointer, options = {}) => {
        const from = find(pointer);
        const isSame = from.isExact && isVerbatim(pointer, from, options.atKey);
        return isSame ? map.locateText(from.pointer, options) : undefined;
      },
    };
  }

  #originOf(root: Json, pointer: string): Origin {
    let value: Json | undefined = root;
    let origin: Origin = { pointer: "", isExact: true };
    for (const part of parsePointer(pointer)) {
      const next = childOf(value, part);
      origin = this.#step(origin, value, part, next);
      value = next;
    }
    return origin;
  }

  #step(origin: Origin, value: Json | undefined, part: string, next: Json | undefined): Origin {
    const isObject = (some: Json | undefined): some is Json[] | JsonObject =>
      typeof some === "object" && some !== null;
    const said =
      (isObject(value) ? this.#keys.get(value)?.get(part) : undefined) ??
      (isObject(next) ? this.#objects.get(next) : undefined);
    if (said !== undefined) return { pointer: said, isExact: true };
    if (!origin.isExact) return origin;
    const below = joinPointer(origin.pointer, part);
    const hasTwin = valueAt(this.#source, below) !== undefined;
    return hasTwin ? { pointer: below, isExact: true } : { ...origin, isExact: false };
  }
}

/** The value at a pointer, by own keys only; undefined if there is none. */
export function valueAt(root: Json, pointer: string): Json | undefined {
  let value: Json | undefined = root;
  for (const part of parsePointer(pointer)) value = childOf(value, part);
  return value;
}

function childOf(value: Json | undefined, part: string): Json | undefined {
  if (Array.isArray(value)) return /^\d+$/.test(part) ? value[Number(part)] : undefined;
  const object = asObject(value);
  return object && Object.hasOwn(object, part) ? object[part] : undefined;
}
