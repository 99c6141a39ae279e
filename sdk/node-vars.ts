/** What a node sees when it runs: its input, and what its expressions may name. */
import type { Vars } from "../condition/index.ts";
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import type { ReadyToken } from "./entry.ts";
import type { RunProfile } from "./profile.ts";
import type { RunData } from "./run-data.ts";
import { roundOf } from "./scope.ts";

/** A token's place in its run, and what has been read of the run for it. */
export interface Reader {
  token: Pick<ReadyToken, "runId" | "node" | "scope" | "kind" | "payload" | "arrivals">;
  profile: Pick<RunProfile, "root">;
  data: RunData;
}

/** What the expressions of a node see before it runs. */
export function varsOf(p: Reader, nodeIndex: number, node: IrNode, input: Json): Vars {
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

/** The node's own input, before `config.input` is applied. */
export function inputOf(p: Reader, node: IrNode): Json {
  const { token } = p;
  return token.payload !== null && token.kind !== "gather"
    ? p.data.value(token.payload)
    : (p.data.editedInput(token.node, token.scope) ??
        p.data.ownInput(node, token.scope, token.arrivals));
}
