/**
 * What an expression refers to, found without running it.
 *
 * The compiler needs three things of each reference: the path, the place, and whether a missing
 * value is provided for (*guarded*): by `has(…)` around it, by optional access (`ctx.?a`), or by a
 * `has` on the same thing that decides whether it is looked at:
 * `has(ctx.a) && ctx.a.output.x > 1`, `has(ctx.a) ? … : …`, `!has(ctx.a) || …`. CEL's `&&` and `||`
 * absorb an error if the other side decides, so a guard protects both sides of them.
 */
import { constantKey, hasArgument, isAccess, childrenOf, macroOf } from "./ast.ts";
import type { Node } from "./ast.ts";
import type { Reference } from "./types.ts";

/** A reference, and how it goes on after the constant part (for messages). */
export interface FoundReference extends Reference {
  /** The path ends because the next key is computed. */
  isDynamic: boolean;
}

interface Surroundings {
  /** Variables bound by macros around; they are not references. */
  bound: ReadonlySet<string>;
  /** Paths known to be there; null: none. */
  guards: Guards | null;
  /** Inside `has(…)`. */
  isAsked: boolean;
}

/** What an operator around knows to be there, and what is known around that one. */
interface Guards {
  keys: ReadonlySet<string>;
  around: Guards | null;
}

/** All references below `root` in source order. `isConstant` tells names such as `int` apart. */
export function findReferences(
  root: Node,
  isConstant: (name: string) => boolean,
): FoundReference[] {
  const found: FoundReference[] = [];
  walk(root, { bound: new Set(), guards: null, isAsked: false }, found, isConstant);
  return found.sort((a, b) => a.start - b.start || a.end - b.end);
}

function walk(
  node: Node,
  around: Surroundings,
  found: FoundReference[],
  isConstant: (name: string) => boolean,
): void {
  const visit = (child: Node, changed: Partial<Surroundings> = {}): void => {
    walk(child, { ...around, ...changed }, found, isConstant);
  };
  if (node.op === "id" || isAccess(node)) {
    const path = pathOf(node);
    if (path) {
      const name = path.names[0] ?? "";
      if (!around.bound.has(name) && !isConstant(name)) found.push(asReference(path, around));
      path.computedKeys.forEach((key) => visit(key));
      return;
    }
  }
  const asked = hasArgument(node);
  if (asked) return visit(asked, { isAsked: true });
  const macro = macroOf(node);
  if (macro) {
    const bound = new Set([...around.bound, macro.variable]);
    macro.outside.forEach((child) => visit(child));
    macro.bodies.forEach((child) => visit(child, { bound }));
    return;
  }
  if (node.op === "&&" || node.op === "||") {
    const [left, right] = node.args as [Node, Node];
    const guardsOf = node.op === "&&" ? guardsIfTrue : guardsIfFalse;
    visit(left, { guards: { keys: guardsOf(right), around: around.guards } });
    visit(right, { guards: { keys: guardsOf(left), around: around.guards } });
    return;
  }
  if (node.op === "?:") {
    const [condition, yes, no] = node.args as [Node, Node, Node];
    visit(condition);
    visit(yes, { guards: { keys: guardsIfTrue(condition), around: around.guards } });
    visit(no, { guards: { keys: guardsIfFalse(condition), around: around.guards } });
    return;
  }
  childrenOf(node).forEach((child) => visit(child));
}

interface Path {
  names: string[];
  start: number;
  end: number;
  isDynamic: boolean;
  /** Optional access at a place that lets the thing itself be missing. */
  isOptional: boolean;
  computedKeys: Node[];
}

/** The path of a chain of selections that starts at a name; undefined if it starts elsewhere. */
function pathOf(node: Node): Path | undefined {
  const chain: Node[] = [];
  let at = node;
  while (isAccess(at)) {
    chain.push(at);
    [at] = at.args as [Node];
  }
  if (at.op !== "id") return undefined;
  const path: Path = {
    names: [at.args as string],
    start: at.start,
    end: at.end,
    isDynamic: false,
    isOptional: false,
    computedKeys: [],
  };
  for (const access of chain.reverse()) {
    const key = constantKey(access);
    if (key === undefined) path.computedKeys.push((access.args as [Node, Node])[1]);
    if (path.isDynamic || key === undefined) {
      path.isDynamic = true;
      continue;
    }
    // `ctx.a.output.?x` still fails if `a` did not run; `ctx.?a` does not.
    const isAtThing = path.names[0] !== "ctx" || path.names.length === 1;
    if (isAtThing && access.op.includes("?")) path.isOptional = true;
    path.names.push(key);
    path.end = access.end;
  }
  return path;
}

function asReference(path: Path, around: Surroundings): FoundReference {
  const isBehindGuard = isGuarded(path.names, around.guards);
  return {
    path: path.names,
    start: path.start,
    end: path.end,
    guarded: around.isAsked || path.isOptional || isBehindGuard,
    isDynamic: path.isDynamic,
  };
}

/** What a guard speaks of: the node for `ctx`, else the path. Parts are parted by NUL. */
function guardKey(names: readonly string[]): string {
  return (names[0] === "ctx" ? names.slice(0, 2) : names).join("\u0000");
}

/** Whether a guard speaks of this path or of one that it starts with. */
function isGuarded(names: readonly string[], guards: Guards | null): boolean {
  if (guards === null) return false;
  const keys = names.map((_, i) => guardKey(names.slice(0, i + 1)));
  for (let at: Guards | null = guards; at !== null; at = at.around) {
    for (const key of keys) if (at.keys.has(key)) return true;
  }
  return false;
}

// A chain asks for the guards of each of its beginnings: they are worked out once per node.
const whenTrue = new WeakMap<Node, ReadonlySet<string>>();
const whenFalse = new WeakMap<Node, ReadonlySet<string>>();

/** The things that are there if `node` is true. */
function guardsIfTrue(node: Node): ReadonlySet<string> {
  return remembered(whenTrue, node, () => {
    if (node.op === "&&") return union(node, guardsIfTrue);
    if (node.op === "!_") return guardsIfFalse(node.args as Node);
    const asked = hasArgument(node);
    const path = asked && pathOf(asked);
    return new Set(path && !path.isDynamic ? [guardKey(path.names)] : []);
  });
}

/** The things that are there if `node` is false. */
function guardsIfFalse(node: Node): ReadonlySet<string> {
  return remembered(whenFalse, node, () => {
    if (node.op === "||") return union(node, guardsIfFalse);
    return node.op === "!_" ? guardsIfTrue(node.args as Node) : new Set<string>();
  });
}

function union(node: Node, of: (side: Node) => ReadonlySet<string>): Set<string> {
  return new Set((node.args as [Node, Node]).flatMap((side) => [...of(side)]));
}

function remembered(
  known: WeakMap<Node, ReadonlySet<string>>,
  node: Node,
  find: () => ReadonlySet<string>,
): ReadonlySet<string> {
  const found = known.get(node) ?? find();
  known.set(node, found);
  return found;
}
