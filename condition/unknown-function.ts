/**
 * A call that fits no function: the library says so in the same words whether there is none of that
 * name, or one that takes other arguments. Authors are told which, and what there is instead.
 */
import { REPLACED_METHODS } from "./errors.ts";
import { functionDefinitions } from "./library.ts";
import { nearestName } from "./suggest.ts";

const CALL = /^found no matching overload for '(?:(.+)\.)?(\w+)\([^()]*\)'$/;
const CLOCK = /^(now|today|utcNow|currentTime|currentDate|currentTimestamp|date|time)$/i;

/** What other languages call them. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ...(["upper", "toUpper", "toUpperCase", "uppercase"] as const).map(meaning("upperAscii")),
  ...(["lower", "toLower", "toLowerCase", "lowercase"] as const).map(meaning("lowerAscii")),
  ...(["includes"] as const).map(meaning("contains")),
  ...(["len", "length", "count"] as const).map(meaning("size")),
  ...(["some", "any"] as const).map(meaning("exists")),
  ...(["every"] as const).map(meaning("all")),
  ...(["parseInt", "toInt", "integer"] as const).map(meaning("int")),
  ...(["parseFloat", "toNumber", "number", "float"] as const).map(meaning("double")),
  ...(["str", "toString"] as const).map(meaning("toText")),
  ...(["stringify", "to_json"] as const).map(meaning("toJson")),
]);

/** Inner names, and what takes part in no text of an author. */
const HIDDEN: ReadonlySet<string> = new Set([...REPLACED_METHODS.values(), "captureEvaluator"]);

interface Known {
  /** Called as `name(…)`. */
  functions: Set<string>;
  /** Called as `x.name(…)`. */
  methods: Set<string>;
}

let known: Known | undefined;

/** The message and hint for a call without a fitting function; undefined: it is something else. */
export function unknownFunction(summary: string): { message: string; hint: string } | undefined {
  const [isCall, receiver, name = ""] = CALL.exec(summary) ?? [];
  if (isCall === undefined) return undefined;
  const isMethod = receiver !== undefined;
  const { functions, methods } = (known ??= readKnown());
  const other = isMethod ? functions : methods;
  if ((isMethod ? methods : functions).has(name)) {
    return {
      message: summary,
      hint: `\`${name}\` takes other arguments, or another number of them`,
    };
  }
  const message = `there is no function \`${isMethod ? `x.${name}` : name}(…)\``;
  if (CLOCK.test(name)) {
    const hint = "expressions have no clock: let a function node put the time out, or submit it";
    return { message, hint };
  }
  if (other.has(name)) return { message, hint: `write \`${asCall(name, !isMethod)}\`` };
  const all = [...functions, ...methods];
  const meant = ELSEWHERE.get(name) ?? nearestName(name, all);
  if (meant !== undefined) {
    return { message, hint: `did you mean \`${asCall(meant, methods.has(meant))}\`?` };
  }
  const names = [...(isMethod ? methods : functions)].sort().join(", ");
  return { message, hint: `there is: ${names} (docs/node-kinds.md, "Functions of expressions")` };
}

function asCall(name: string, isMethod: boolean): string {
  return isMethod ? `x.${name}(…)` : `${name}(…)`;
}

function meaning(ours: string): (theirs: string) => [string, string] {
  return (theirs) => [theirs, ours];
}

function readKnown(): Known {
  const found: Known = { functions: new Set(), methods: new Set(REPLACED_METHODS.keys()) };
  for (const { name, receiverType } of functionDefinitions()) {
    if (!HIDDEN.has(name)) (receiverType === null ? found.functions : found.methods).add(name);
  }
  return found;
}
