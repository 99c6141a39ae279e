/** What a node sees when it runs: its input, and what its expressions may name. */
import type { Vars } from "../condition/index.ts";
import type { IrNode, Json } from "../compiler/ir.ts";
import { roundOf, runEpoch, type ReadyToken, type RunProfile } from "../sdk/internal.ts";
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
    run: {
      id: p.token.runId,
      workflow: root.name,
      version: root.workflow_version,
      attempt: Number(runEpoch(p.token.epoch)),
    },
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

/** The node's own input, `config.input` applied. */
export function inputOf(p: Prepared, node: IrNode): Json {
  const { token } = p;
  return token.payload !== null && token.kind !== "gather"
    ? p.data.value(token.payload)
    : (p.data.editedInput(token.node, token.scope) ??
        p.data.ownInput(node, token.scope, token.arrivals));
}
