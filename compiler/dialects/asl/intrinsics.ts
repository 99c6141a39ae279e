/**
 * Intrinsic functions to CEL.
 *
 * What they say is said by CEL and by functions of condition/functions.ts. Random numbers and UUIDs
 * are refused: an expression gives the same value however often it is evaluated.
 */
import { quote } from "./cel.ts";
import { PathProblem, pathToCel } from "./paths.ts";
import type { Scope } from "./paths.ts";

interface Argument {
  cel: string;
  /** The text of a literal string. */
  text?: string;
  source: string;
}

interface Intrinsic {
  /** Numbers of arguments it takes. */
  arity: readonly [least: number, most: number];
  /** How it is written in CEL, for people. */
  shown: string;
  write: (args: readonly Argument[], all: readonly string[]) => string;
}

const refused = (why: string): Intrinsic => ({
  arity: [0, 99],
  shown: "",
  write: () => {
    throw new PathProblem(why);
  },
});

const call = (arity: number, shown: string, write: (...args: string[]) => string): Intrinsic => ({
  arity: [arity, arity],
  shown,
  write: (_, all) => write(...all),
});

const MANY = 1000;
const NOT_PURE = "gives another value each time: call a function for it";

/** Every intrinsic function; docs/dialects.md shows the same table. */
export const INTRINSICS: Readonly<Record<string, Intrinsic>> = {
  "States.Format": { arity: [1, MANY], shown: '"…" + toText(a) + "…"', write: writeFormat },
  "States.StringToJson": call(1, "fromJson(s)", (s) => `fromJson(${s})`),
  "States.JsonToString": call(1, "toJson(x)", (x) => `toJson(${x})`),
  "States.Array": {
    arity: [0, MANY],
    shown: "[a, b]",
    write: (_, all) => `[${all.join(", ")}]`,
  },
  "States.ArrayPartition": call(2, "list.chunk(n)", (l, n) => `${l}.chunk(${n})`),
  "States.ArrayContains": call(2, "x in list", (l, x) => `(${x} in ${l})`),
  "States.ArrayRange": call(3, "range(a, b, step)", (a, b, s) => `range(${a}, ${b}, ${s})`),
  "States.ArrayGetItem": call(2, "list[i]", (l, i) => `${l}[${i}]`),
  "States.ArrayLength": call(1, "size(list)", (l) => `size(${l})`),
  "States.ArrayUnique": call(1, "list.distinct()", (l) => `${l}.distinct()`),
  "States.Base64Encode": call(1, "base64Encode(s)", (s) => `base64Encode(${s})`),
  "States.Base64Decode": call(1, "base64Decode(s)", (s) => `base64Decode(${s})`),
  "States.Hash": call(2, "hash(s, algorithm)", (x, a) => `hash(toText(${x}), ${a})`),
  "States.JsonMerge": { arity: [3, 3], shown: "merge(a, b)", write: writeMerge },
  "States.MathRandom": refused(`States.MathRandom ${NOT_PURE}`),
  "States.MathAdd": call(2, "round(a) + round(b)", (a, b) => `(${rounded(a)} + ${rounded(b)})`),
  "States.StringSplit": { arity: [2, 2], shown: "s.split(by)", write: writeSplit },
  "States.UUID": refused(`States.UUID ${NOT_PURE}, or use $$.Execution.Id`),
};

/** Whether a string is an intrinsic function and not a path. */
export function isIntrinsic(text: string): boolean {
  return /^\s*States\./.test(text);
}

/** A path or an intrinsic function in CEL. Throws PathProblem. */
export function expressionToCel(text: string, scope: Scope): string {
  if (!isIntrinsic(text)) return pathToCel(text.trim(), scope);
  const reader = new Reader(text, scope);
  const { cel } = reader.readArgument();
  reader.end();
  return cel;
}

/** Calls in one expression, which bounds how deep they are in one another. */
const CALLS_MAX = 100;

class Reader {
  readonly #text: string;
  readonly #scope: Scope;
  #at = 0;
  #calls = 0;

  constructor(text: string, scope: Scope) {
    this.#text = text;
    this.#scope = scope;
  }

  readArgument(): Argument {
    this.#skipBlanks();
    const start = this.#at;
    const read = this.#readPart();
    return { ...read, source: this.#text.slice(start, this.#at) };
  }

  end(): void {
    this.#skipBlanks();
    if (this.#at < this.#text.length) this.#fail();
  }

  #readPart(): { cel: string; text?: string } {
    const text = this.#match(/'((?:\\.|[^'\\])*)'/y);
    if (text) {
      const plain = (text[1] ?? "").replace(/\\(['\\])/g, "$1");
      return { cel: quote(plain), text: plain };
    }
    const plain = this.#match(/-?\d+(?:\.\d+)?|true\b|false\b|null\b/y);
    if (plain) return { cel: plain[0] };
    const name = this.#match(/States\.[A-Za-z0-9]+/y);
    if (name) return { cel: this.#readCall(name[0]) };
    const path = this.#match(
      /\$\$?(?:\[(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\]'"])*\]|[^,()\s[])*/y,
    );
    if (path) return { cel: pathToCel(path[0], this.#scope) };
    return this.#fail();
  }

  #readCall(name: string): string {
    if (++this.#calls > CALLS_MAX) throw new PathProblem("too many calls in one expression");
    const intrinsic = Object.hasOwn(INTRINSICS, name) ? INTRINSICS[name] : undefined;
    if (!intrinsic) throw new PathProblem(`there is no intrinsic function ${name}`);
    this.#skipBlanks();
    if (!this.#match(/\(/y)) this.#fail();
    const args: Argument[] = [];
    this.#skipBlanks();
    while (!this.#match(/\)/y)) {
      if (args.length > 0 && !this.#match(/,/y)) this.#fail();
      args.push(this.readArgument());
      this.#skipBlanks();
    }
    const [least, most] = intrinsic.arity;
    if (args.length < least || args.length > most) {
      throw new PathProblem(`${name} takes ${least} arguments, not ${args.length}`);
    }
    return intrinsic.write(
      args,
      args.map(({ cel }) => cel),
    );
  }

  #skipBlanks(): void {
    this.#match(/\s*/y);
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found) this.#at += found[0].length;
    return found;
  }

  #fail(): never {
    const rest = this.#text.slice(this.#at, this.#at + 20);
    const where = rest === "" ? "at its end" : `at \`${rest}\``;
    throw new PathProblem(`the intrinsic function does not parse ${where}`);
  }
}

function rounded(cel: string): string {
  return /^-?\d+$/.test(cel) ? cel : `round(${cel})`;
}

function writeFormat([first, ...args]: readonly Argument[]): string {
  if (first?.text === undefined) {
    throw new PathProblem("the template of States.Format must be a literal string");
  }
  const texts = first.text.replaceAll("\\{", "\u0001").replaceAll("\\}", "\u0002").split("{}");
  if (texts.length !== args.length + 1) {
    const count = `${texts.length - 1} places and ${args.length} values`;
    throw new PathProblem(`States.Format has ${count}`);
  }
  const parts = texts.flatMap((text, i) => {
    const plain = text.replaceAll("\u0001", "{").replaceAll("\u0002", "}");
    const arg = args[i];
    const value = arg?.text === undefined ? arg && `toText(${arg.cel})` : quote(arg.text);
    return [...(plain === "" ? [] : [quote(plain)]), ...(value === undefined ? [] : [value])];
  });
  return parts.length === 0
    ? '""'
    : parts.length === 1
      ? (parts[0] ?? "")
      : `(${parts.join(" + ")})`;
}

function writeMerge(args: readonly Argument[]): string {
  const [a, b, deep] = args;
  if (deep?.source !== "false") {
    throw new PathProblem("States.JsonMerge merges shallowly only: its third argument is false");
  }
  return `merge(${a?.cel ?? ""}, ${b?.cel ?? ""})`;
}

/** Every character of the second argument separates; empty parts are left out. */
function writeSplit([text, by]: readonly Argument[]): string {
  if (by?.text === undefined || by.text === "") {
    throw new PathProblem("the separators of States.StringSplit must be a literal string");
  }
  const [first = "", ...others] = new Set(by.text);
  const even = others.reduce(
    (cel, other) => `${cel}.replace(${quote(other)}, ${quote(first)})`,
    text?.cel ?? "",
  );
  return `${even}.split(${quote(first)}).filter(x, x != "")`;
}
