/**
 * JSONPath to CEL.
 *
 *   $.a['b c'][0]        data.a["b c"][0]; a missing part is an error in both languages
 *   $.a[-1]              data.a[size(data.a) - 1]
 *   $.a[*].b  $.a[1:3]   values(data.a).map(x, x.?b.hasValue(), x.b): those that have it
 *   $.a[?(@.n > 1)]      the same with the condition
 *   $$.Execution.Id …    run.id …
 *
 * One step of a path may match several values; more of them, `..`, unions and functions have no form
 * here.
 */
import { quote, select, selectOptional } from "./cel.ts";

export type Step =
  | { kind: "field"; name: string }
  | { kind: "index"; index: number }
  | { kind: "all" }
  | { kind: "slice"; from: number; to: number }
  | { kind: "filter"; condition: string };

/** A path, or an intrinsic function, that cannot be said in CEL; the message says why. */
export class PathProblem extends Error {
  override readonly name = "PathProblem";
}

/** What `$` stands for. */
export interface Root {
  cel: string;
  /** Fields that are known by themselves, for a root that is made up and has no others. */
  fields?: Readonly<Record<string, string>>;
}

/** What `$$` stands for, as far as it depends on the place. */
export interface ContextPlace {
  state: string;
  /** In the body of a map: `item` and `index` are known. */
  isInMap: boolean;
}

/** Where an expression stands. */
export interface Scope {
  root: Root;
  place: ContextPlace;
}

/** What is longer would be refused as CEL. */
const PATH_LENGTH_MAX = 4096;

const END = 9_007_199_254_740_991;

/** The steps of a path behind its `$`. Throws PathProblem. */
export function parsePath(path: string): Step[] {
  if (path.length > PATH_LENGTH_MAX) {
    throw new PathProblem(`a path has ${PATH_LENGTH_MAX} characters at most`);
  }
  const steps: Step[] = [];
  let rest = path;
  while (rest !== "") {
    const [step, length] = nextStep(rest, path);
    steps.push(step);
    rest = rest.slice(length);
  }
  return steps;
}

function nextStep(rest: string, path: string): [Step, number] {
  if (rest.startsWith("..")) throw new PathProblem(`\`..\` in the path is not supported`);
  const all = /^(?:\.\*|\[\*\])/.exec(rest);
  if (all) return [{ kind: "all" }, all[0].length];
  const call = /^\.([A-Za-z]+)\(\)/.exec(rest);
  if (call) throw new PathProblem(`the path function \`${call[1] ?? ""}()\` is not supported`);
  const field = /^\.([\p{L}\p{N}_-]+)/u.exec(rest);
  if (field) return [{ kind: "field", name: field[1] ?? "" }, field[0].length];
  const quoted = /^\[\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)")\s*\]/.exec(rest);
  if (quoted) {
    const name = (quoted[1] ?? quoted[2] ?? "").replace(/\\(.)/g, "$1");
    return [{ kind: "field", name }, quoted[0].length];
  }
  const index = /^\[\s*(-?\d+)\s*\]/.exec(rest);
  if (index) return [{ kind: "index", index: Number(index[1]) }, index[0].length];
  const slice = /^\[\s*(-?\d*)\s*:\s*(-?\d*)\s*\]/.exec(rest);
  if (slice) {
    const [whole, from = "", to = ""] = slice;
    const step = { from: Number(from), to: to === "" ? END : Number(to) };
    return [{ kind: "slice", ...step }, whole.length];
  }
  const filter = /^\[\?\(([^]*?)\)\]/.exec(rest);
  if (filter) {
    return [{ kind: "filter", condition: filterCondition(filter[1] ?? "") }, filter[0].length];
  }
  if (/^\[[^\]]*,/.test(rest)) throw new PathProblem("unions such as `[0,1]` are not supported");
  throw new PathProblem(`the path \`$${path}\` does not parse at \`${rest.slice(0, 20)}\``);
}

/** `@.a.b == 'x'`, also joined by `&&` and `||`, as a condition on `x`. */
function filterCondition(text: string): string {
  const parts = text.split(/\s*(&&|\|\|)\s*/);
  return parts
    .map((part) => (part === "&&" || part === "||" ? part : filterTerm(part.trim())))
    .join(" ");
}

function filterTerm(term: string): string {
  const match = /^@((?:\.\w+)*)\s*(?:(==|<=|>=|<|>)\s*(.+))?$/.exec(term);
  if (!match) throw new PathProblem(`the filter \`${term}\` of a path is not supported`);
  const [, names = "", operator, value = ""] = match;
  const steps = parsePath(names);
  const there = steps.length === 0 ? [] : [hasAll("x", steps)];
  if (operator === undefined) return there[0] ?? "true";
  const right = /^'((?:\\.|[^'\\])*)'$/.exec(value);
  const isPlain = /^(?:-?\d+(?:\.\d+)?|true|false|null|"(?:\\.|[^"\\])*")$/.test(value);
  if (!right && !isPlain)
    throw new PathProblem(`the filter \`${term}\` of a path is not supported`);
  const text = right ? quote((right[1] ?? "").replace(/\\(.)/g, "$1")) : value;
  const left = definite("x", steps);
  const kind = text.startsWith('"') ? "isString" : "isNumber";
  const guard = operator === "==" ? [] : [`${kind}(${left})`];
  return `(${[...there, ...guard, `${left} ${operator} ${text}`].join(" && ")})`;
}

function definite(root: string, steps: readonly Step[]): string {
  return steps.reduce((left, step) => {
    if (step.kind === "field") return select(left, step.name);
    if (step.kind !== "index") throw new PathProblem("a path may match several values only once");
    return step.index < 0 ? `${left}[size(${left}) - ${-step.index}]` : `${left}[${step.index}]`;
  }, root);
}

/** Whether every step is there. */
export function hasAll(root: string, steps: readonly Step[]): string {
  const path = steps.reduce((left, step) => {
    if (step.kind === "field") return selectOptional(left, step.name);
    if (step.kind === "index" && step.index >= 0) return `${left}[?${step.index}]`;
    throw new PathProblem("this part of the path can only name fields and elements");
  }, root);
  return steps.length === 0 ? "true" : `${path}.hasValue()`;
}

/** A path on what `$` stands for. Throws PathProblem. */
export function pathToCel(path: string, { root, place }: Scope): string {
  if (path.startsWith("$$")) return contextToCel(path.slice(2), place);
  if (!path.startsWith("$")) throw new PathProblem("a path begins with `$`");
  const { cel, steps } = enter(root, parsePath(path.slice(1)));
  const at = steps.findIndex(({ kind }) => kind !== "field" && kind !== "index");
  const several = steps[at];
  if (several === undefined) return definite(cel, steps);
  const list = listOf(definite(cel, steps.slice(0, at)), several);
  const rest = steps.slice(at + 1);
  if (several.kind === "filter") {
    const condition =
      rest.length === 0 ? several.condition : `(${several.condition}) && ${hasAll("x", rest)}`;
    return `${list}.map(x, ${condition}, ${definite("x", rest)})`;
  }
  return rest.length === 0 ? list : `${list}.map(x, ${hasAll("x", rest)}, ${definite("x", rest)})`;
}

function listOf(cel: string, step: Step): string {
  return step.kind === "slice" ? `${cel}.slice(${step.from}, ${step.to})` : `values(${cel})`;
}

/** Follow the path into a root whose fields are known. */
function enter(root: Root, steps: Step[]): { cel: string; steps: Step[] } {
  const [first, ...rest] = steps;
  if (!root.fields || first?.kind !== "field") return { cel: root.cel, steps };
  const known = Object.hasOwn(root.fields, first.name) ? root.fields[first.name] : undefined;
  return known === undefined ? { cel: root.cel, steps } : { cel: known, steps: rest };
}

/** The steps of a reference path: fields and elements only. Throws PathProblem. */
export function parseReferencePath(path: string): (string | number)[] {
  if (!path.startsWith("$") || path.startsWith("$$")) {
    throw new PathProblem("a reference path begins with `$`");
  }
  return parsePath(path.slice(1)).map((step) => {
    if (step.kind === "field") return step.name;
    if (step.kind === "index" && step.index >= 0) return step.index;
    throw new PathProblem("a reference path names one field or element");
  });
}

/** Values of the context object; docs/dialects.md shows the same table. */
export const CONTEXT_VALUES: Readonly<Record<string, string>> = {
  "Execution.Id": "run.id",
  "Execution.Name": "run.id",
  "Execution.Input": "input",
  "StateMachine.Id": "run.workflow",
  "StateMachine.Name": "run.workflow",
  "Map.Item.Value": "item",
  "Map.Item.Index": "index",
};

function contextToCel(path: string, place: ContextPlace): string {
  const steps = parsePath(path);
  const names = steps.map((step) => (step.kind === "field" ? step.name : ""));
  if (names.join(".") === "State.Name") return quote(place.state);
  for (let count = 3; count >= 2; count--) {
    const name = names.slice(0, count).join(".");
    const cel = Object.hasOwn(CONTEXT_VALUES, name) ? CONTEXT_VALUES[name] : undefined;
    if (cel === undefined) continue;
    if (name.startsWith("Map.") && !place.isInMap) {
      throw new PathProblem(`\`$$.${name}\` is known in a Map only`);
    }
    return definite(cel, steps.slice(count));
  }
  throw new PathProblem(`\`$$${path}\` of the context object is not supported`);
}
