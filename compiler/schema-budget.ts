/**
 * What checking one value by a JSON Schema may cost.
 *
 * A schema of a hundred bytes can look at the same parts of a value again and again: `allOf` of two
 * that both refer to the whole look 2^depth times. So each schema that is applied pays, and the check
 * of data that costs more than the budget is given up: it is counted, so every process says the same
 * of the same data.
 */
import { RE2JS } from "re2js";
import type { Ajv2020, KeywordCxt } from "ajv/dist/2020.js";
import { ajvLibrary } from "./ajv.ts";
import { asObject, type JsonObject } from "./document.ts";
import { canonicalJson } from "./hash.ts";
import type { Json } from "./ir.ts";
import { walkSchemas } from "./schema-parts.ts";

/** Looks that one check may take: a second or two, and one for each number of the largest output. */
export const CHECK_LOOKS_MAX = 12_000_000;
/** Things wrong with a value that are kept at the same time: a few hundred bytes each. */
const ERRORS_MAX = 50_000;

/** A linear-time engine takes about as long for a character as four schemas that look at a number. */
const LOOKS_PER_CHARACTER = 4;
/** What only counts characters, or compares them, is quicker. */
const CHARACTERS_PER_LOOK = 16;
/** An element pays for its own schema, if it has the type that this asks for. */
const ELEMENTS_PER_LOOK = 4;
/** `contains` keeps what is wrong with each element until one fits. */
const LOOKS_PER_CANDIDATE = 10;
/** A key is compared, and a text of its own for what is wrong with it. */
const LOOKS_PER_KEY = 4;

/** Keyword of each schema that has others: it pays. No author's: replaced where one wrote it. */
const LOOK = "x-gavotte-look";

const KEY_WALKS = [
  ...["additionalProperties", "patternProperties", "propertyNames", "unevaluatedProperties"],
  ...["minProperties", "maxProperties"],
];
const CHARACTER_WALKS = ["format", "minLength", "maxLength"];

/** Ends a check. */
export class TooManyLooks extends Error {}

export class Budget {
  #left = 0;

  reset(max: number): void {
    this.#left = max;
  }

  pay(looks: number): void {
    this.#left -= looks;
    if (this.#left < 0) throw new TooManyLooks("this check costs more than it may");
  }
}

/** A copy in which each schema that is applied pays; one that asks for promises does so no more. */
export function withLooks(schema: Json): Json {
  const copy = JSON.parse(JSON.stringify(schema)) as Json;
  walkSchemas(copy, (part) => {
    // The library would make a validator that answers later, and says "fits" until then.
    delete part["$async"];
    delete part[LOOK];
    if (Object.keys(part).length > 0) part[LOOK] = true;
  });
  return copy;
}

/** Patterns in linear time, which pay for their text. */
export function payingPatterns(budget: Budget): (pattern: string) => PaidPattern {
  const make = (pattern: string): PaidPattern => {
    const expression = RE2JS.compile(RE2JS.translateRegExp(pattern));
    const test = (text: string): boolean => {
      budget.pay(1 + text.length * LOOKS_PER_CHARACTER);
      return expression.matcher(text).find();
    };
    // ajv tells patterns apart by their text.
    return { test, toString: () => pattern };
  };
  make.code = "linear";
  return make;
}

interface PaidPattern {
  test(text: string): boolean;
  toString(): string;
}

/** The keywords that pay. */
export function addPayingKeywords(ajv: Ajv2020, budget: Budget): void {
  const { _, Name } = ajvLibrary();
  const errors = new Name("errors");
  ajv.addKeyword({
    keyword: LOOK,
    schemaType: "boolean",
    code: ({ gen, data, parentSchema }: KeywordCxt) => {
      const look = gen.scopeValue("func", { ref: lookOf(parentSchema as JsonObject, budget) });
      gen.code(_`${look}(${data}, ${errors})`);
    },
  });
  // The library's own compares each with each.
  ajv.removeKeyword("uniqueItems");
  ajv.addKeyword({
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    error: { message: "must NOT have duplicate items" },
    validate: (isWanted: boolean, list: readonly Json[]) => !isWanted || isUnique(list, budget),
  });
}

/** Pays for the schema, what it has for the value, and for those parts that it goes through. */
function lookOf(schema: JsonObject, budget: Budget): (data: unknown, errors: number) => void {
  const has = (key: string): boolean => Object.hasOwn(schema, key);
  // Without what makes it pay.
  const base = Object.values(schema).reduce<number>((sum, part) => sum + entriesOf(part), -1);
  const forKey = KEY_WALKS.some(has) ? LOOKS_PER_KEY : 0;
  const forCharacter = CHARACTER_WALKS.some(has) ? 1 / CHARACTERS_PER_LOOK : 0;
  const forElement = has("contains") ? LOOKS_PER_CANDIDATE : 1 / ELEMENTS_PER_LOOK;
  return (data, errors) => {
    let looks = errors > ERRORS_MAX ? Infinity : base;
    if (typeof data === "string") looks += data.length * forCharacter;
    else if (Array.isArray(data)) looks += data.length * forElement;
    else if (forKey > 0 && typeof data === "object" && data !== null) {
      looks += Object.keys(data).length * forKey;
    }
    budget.pay(looks);
  };
}

function entriesOf(value: Json): number {
  if (Array.isArray(value)) return value.length;
  return Object.keys(asObject(value) ?? { one: true }).length;
}

function isUnique(list: readonly Json[], budget: Budget): boolean {
  const seen = new Set<string>();
  for (const item of list) {
    const text = canonicalJson(item);
    budget.pay(1 + Math.ceil(text.length / CHARACTERS_PER_LOOK));
    if (seen.has(text)) return false;
    seen.add(text);
  }
  return true;
}
