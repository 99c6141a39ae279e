/**
 * Strict JSON with places.
 *
 * JSON.parse makes the value; this scanner finds what JSON.parse does not tell: where each value
 * stands, keys that occur twice, nesting beyond the limit, and line and column of a syntax error
 * (V8 words these differently from version to version). Where the two disagree, JSON.parse wins.
 */
import type { PlacedNode } from "./source-map.ts";

/** What is wrong with the text, at an offset. */
export class SyntaxProblem extends Error {
  readonly offset: number;
  readonly hint: string | undefined;
  /** What to write instead of the character at the offset. */
  readonly fix: string | undefined;
  readonly isDepth: boolean;

  constructor(
    message: string,
    offset: number,
    remedy: { hint?: string; fix?: string; isDepth?: boolean } = {},
  ) {
    super(message);
    this.offset = offset;
    this.hint = remedy.hint;
    this.fix = remedy.fix;
    this.isDepth = remedy.isDepth ?? false;
  }
}

export interface DuplicateKey {
  pointer: string[];
  key: string;
  offset: number;
}

/** A number that JSON.parse would make Infinity of. */
export interface HugeNumber {
  pointer: string[];
  text: string;
}

export interface ScannedJson {
  root: PlacedNode;
  duplicates: DuplicateKey[];
  huge: HugeNumber[];
}

/** Scan a whole JSON text. Throws SyntaxProblem at the first place where it is not JSON. */
export function scanJson(text: string, depthMax: number): ScannedJson {
  const scanner = new Scanner(text, depthMax);
  const root = scanner.document();
  return { root, duplicates: scanner.duplicates, huge: scanner.huge };
}

interface Member {
  key: PlacedNode;
  node: PlacedNode;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const SPACE = /[ \t\r\n]*/y;

class Scanner {
  readonly duplicates: DuplicateKey[] = [];
  readonly huge: HugeNumber[] = [];
  readonly #text: string;
  readonly #depthMax: number;
  readonly #path: string[] = [];
  #at = 0;

  constructor(text: string, depthMax: number) {
    this.#text = text;
    this.#depthMax = depthMax;
  }

  document(): PlacedNode {
    const root = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) {
      this.#fail("there is something after the end of the document");
    }
    return root;
  }

  #value(): PlacedNode {
    this.#skipSpace();
    const char = this.#text[this.#at];
    if (char === "{" || char === "[") {
      if (this.#path.length >= this.#depthMax) {
        const message = `nested deeper than ${this.#depthMax} levels`;
        throw new SyntaxProblem(message, this.#at, { isDepth: true });
      }
      return char === "{" ? this.#object() : this.#array();
    }
    const start = this.#at;
    if (char === '"') {
      this.#string();
      return new JsonString(this.#text, start, this.#at);
    }
    if (this.#skip(NUMBER)) {
      const text = this.#text.slice(start, this.#at);
      if (!Number.isFinite(Number(text))) this.huge.push({ pointer: [...this.#path], text });
      return new JsonScalar(start, this.#at);
    }
    if (this.#skip(WORD)) return new JsonScalar(start, this.#at);
    return this.#fail(char === undefined ? "the text ends too early" : this.#unexpected());
  }

  #object(): PlacedNode {
    const start = this.#at++;
    const members = new Map<string, Member>();
    const child = (key: string): Member | undefined => members.get(key);
    this.#skipSpace();
    if (this.#take("}")) return { start, end: this.#at, child };
    for (;;) {
      this.#skipSpace();
      const keyAt = this.#at;
      if (this.#text[keyAt] !== '"') this.#fail(this.#keyProblem());
      this.#string();
      const placed = new JsonString(this.#text, keyAt, this.#at);
      const key = JSON.parse(this.#text.slice(keyAt, this.#at)) as string;
      if (members.has(key)) {
        this.duplicates.push({ pointer: [...this.#path, key], key, offset: keyAt });
      }
      this.#skipSpace();
      if (!this.#take(":")) this.#fail("expected `:` after the key");
      this.#path.push(key);
      members.set(key, { key: placed, node: this.#value() });
      this.#path.pop();
      if (this.#endOf("}")) return { start, end: this.#at, child };
    }
  }

  #array(): PlacedNode {
    const start = this.#at++;
    const items: PlacedNode[] = [];
    const child = (key: string): Member | undefined => {
      const node = /^\d+$/.test(key) ? items[Number(key)] : undefined;
      return node && { key: node, node };
    };
    this.#skipSpace();
    if (this.#take("]")) return { start, end: this.#at, child };
    for (;;) {
      this.#path.push(String(items.length));
      items.push(this.#value());
      this.#path.pop();
      if (this.#endOf("]")) return { start, end: this.#at, child };
    }
  }

  /** After an element: true at the closing bracket, false at a comma with more behind it. */
  #endOf(close: string): boolean {
    this.#skipSpace();
    if (this.#take(close)) return true;
    const comma = this.#at;
    if (!this.#take(",")) {
      const isEnd = this.#at >= this.#text.length;
      this.#fail(isEnd ? `the text ends before \`${close}\`` : `expected \`,\` or \`${close}\``);
    }
    this.#skipSpace();
    if (this.#text[this.#at] === close) {
      const hint = "JSON allows none: remove it";
      throw new SyntaxProblem("trailing comma", comma, { hint, fix: "" });
    }
    return false;
  }

  #string(): void {
    const start = this.#at++;
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === 0x22) {
        this.#at++;
        return;
      }
      if (code < 0x20) this.#fail("a control character in a string must be written as an escape");
      if (code !== 0x5c) continue;
      const rest = this.#text.slice(this.#at + 1, this.#at + 6);
      if (!/^(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.test(rest)) this.#fail("bad escape in a string");
      this.#at++;
    }
    throw new SyntaxProblem("the string is not closed", start);
  }

  #keyProblem(): string {
    const char = this.#text[this.#at];
    if (char === undefined) return "the text ends before `}`";
    return "expected a key in double quotes";
  }

  #unexpected(): string {
    const char = this.#text[this.#at] ?? "";
    if (char === "'") return "strings take double quotes in JSON";
    if (char === "/") return "JSON has no comments";
    return `unexpected \`${char}\``;
  }

  #skipSpace(): void {
    this.#skip(SPACE);
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #fail(message: string): never {
    throw new SyntaxProblem(message, this.#at);
  }
}

/** A number or a word. Classes, since a document has many of them. */
class JsonScalar implements PlacedNode {
  readonly start: number;
  readonly end: number;

  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
  }

  child(): undefined {
    return undefined;
  }
}

class JsonString extends JsonScalar {
  readonly #text: string;

  constructor(text: string, start: number, end: number) {
    super(start, end);
    this.#text = text;
  }

  get textLength(): number {
    return (JSON.parse(this.#text.slice(this.start, this.end)) as string).length;
  }

  /** Walks over the escapes, each of which is one unit of the value. */
  textAt(offset: number): number | undefined {
    let at = this.start + 1;
    for (let left = offset; left > 0 && at < this.end - 1; left--) {
      at += this.#text[at] !== "\\" ? 1 : this.#text[at + 1] === "u" ? 6 : 2;
    }
    return Math.min(at, this.end - 1);
  }
}
