/** What a workflow and those that it runs call, so that a command that runs it can serve all of it. */
import type { Ir, IrNode } from "../compiler/index.ts";
import {
  definitionByRef,
  definitionsByHash,
  parseWorkflowRef,
  type Database,
} from "../sdk/postgres/index.ts";

/** References in a tree of workflows that the intake allows. */
const REFERENCES_MAX = 1000;

/** Functions that a workflow calls, in bodies of maps and to undo its nodes, too. */
export function functionsIn(ir: Ir): string[] {
  const names = nodesOf(ir).flatMap(({ type, config, compensate }) => [
    type === "function" || type === "loop" ? config.function_name : undefined,
    compensate?.function_name,
  ]);
  return [...new Set(names.filter((name) => typeof name === "string"))].sort();
}

/** Queues in which its steps stand, and what undoes them. */
export function queuesIn(ir: Ir): string[] {
  const own = [ir, ...bodiesOf(ir)].flatMap(({ queues }) => queues);
  const undoing = nodesOf(ir).flatMap(({ compensate }) => compensate?.queue ?? []);
  return [...new Set([...own, ...undoing])];
}

/**
 * Workflows that it runs, and that these run, by what their names mean now. What nobody has published
 * is missing: the intake says so.
 */
export async function workflowsBelow(db: Database, ir: Ir): Promise<Ir[]> {
  const found = new Map<string, Ir>();
  const asked = new Set<string>();
  const open = [ir];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const ref of referencesIn(at).filter((one) => !asked.has(one))) {
      if (asked.add(ref).size > REFERENCES_MAX) {
        return [...found.values()]; // the intake refuses it
      }
      const { name, version } = parseWorkflowRef(ref);
      const hash = (await definitionByRef(db, name, version))?.hash;
      const [stored] =
        hash === undefined || found.has(hash) ? [] : await definitionsByHash(db, [hash]);
      if (stored !== undefined) {
        const below = JSON.parse(stored.ir) as Ir;
        found.set(stored.hash, below);
        open.push(below);
      }
    }
  }
  return [...found.values()];
}

function referencesIn(ir: Ir): string[] {
  return nodesOf(ir).flatMap(({ type, config }) => {
    const ref = config["workflow"];
    return type === "subworkflow" && typeof ref === "string" ? [ref] : [];
  });
}

/** Bodies of its maps, and of maps in these. */
function bodiesOf(ir: Ir): Ir[] {
  return ir.nodes.flatMap(({ body }) => (body === undefined ? [] : [body, ...bodiesOf(body)]));
}

function nodesOf(ir: Ir): IrNode[] {
  return [ir, ...bodiesOf(ir)].flatMap(({ nodes }) => nodes);
}
