/** What a node sees when it runs: its input, and what its expressions may name. */
import type { Vars } from "../condition/index.ts";
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import { roundOf, type ReadyToken, type RunProfile } from "../sdk/internal.ts";
import type { RunData } from "./run-data.ts";

/** A token with what has been read for it. */
export interface Prepared {
  token: ReadyToken;
  profile: RunProfile;
  node: IrNode;
  data: RunData;
}

/** What the expressions of a node see before it runs. */
export function varsOf(p: Prepared, nodeIndex: number, node: IrNode, input: Json): Vars {
  const { root } = p.profile;
  const { outside } = p.data;
  const vars: Vars = {
    data: input,
    ctx: p.data.context(nodeIndex, p.token.scope, node.refs),
    run: outside?.vars.run ?? aboutRun(p.token.runId, root, p.data),
  };
  if (node.uses_input) {
    vars.input = p.data.input();
  }
  const iteration = roundOf(p.token.scope) ?? outside?.vars.iteration;
  if (iteration !== undefined) {
    vars.iteration = iteration;
  }
  if (outside !== null) {
    vars.item = p.data.item();
    vars.index = outside.index;
  }
  return vars;
}

/** What expressions know of their run. */
export function aboutRun(runId: string, root: Ir, data: RunData): NonNullable<Vars["run"]> {
  const { name, workflow_version: version } = root;
  return { id: runId, workflow: name, version, attempt: data.attempt() };
}

/** The node's own input, `config.input` applied. */
export function inputOf(p: Prepared, node: IrNode): Json {
  const { token } = p;
  return token.payload !== null && token.kind !== "gather"
    ? p.data.value(token.payload)
    : (p.data.editedInput(token.node, token.scope) ??
        p.data.ownInput(node, token.scope, token.arrivals));
}
