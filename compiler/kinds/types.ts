/**
 * Names of node types: ours, and the ones that other files use for them.
 *
 * A type that this version can name but not compile is in the list, so that its author is told so
 * and not offered a name that is spelt alike.
 */
import type { NodeType } from "../ir.ts";

const ALIASES = {
  task: "function",
  agent: "llm",
  ai_task: "llm",
  hitl: "human",
  approval: "human",
  decision: "conditional",
  start: "parallel",
  end: "parallel",
  pass: "parallel",
  noop: "parallel",
  transformation: "transform",
} as const satisfies Record<string, NodeType>;

const TYPES: readonly NodeType[] = [
  ...(["function", "http", "llm", "conditional", "parallel", "transform", "filter"] as const),
  ...(["aggregate", "loop", "map", "subworkflow", "delay", "wait", "human", "emit"] as const),
];

export const TYPE_NAMES: readonly string[] = [...TYPES, ...Object.keys(ALIASES)];

/** The node type that a file means by `name`, or undefined. */
export function resolveType(name: string): NodeType | undefined {
  const type = TYPES.find((candidate) => candidate === name);
  if (type) return type;
  return Object.hasOwn(ALIASES, name) ? ALIASES[name as keyof typeof ALIASES] : undefined;
}

/** All names of a type, its own first. */
export function namesOf(type: NodeType): string[] {
  const others = Object.entries(ALIASES).filter(([, meant]) => meant === type);
  return [type, ...others.map(([name]) => name)];
}
