/**
 * How many tokens can be in flight at one time, at most.
 *
 * Where joins wait for all, tokens in flight lie on different paths: no two of them one after the
 * other. So any set of paths that covers all edges has at least as many paths as there can be
 * tokens. The paths are found greedily as a flow: each edge carries at least one, a node passes on
 * what it gets, and what it lacks is new. An `any` or `count` join goes on before its slower
 * in-edges: their paths end there and new ones begin. Branches of which only one is taken count in
 * full, which keeps it an upper bound.
 */
interface FlowGraph {
  nodes: readonly {
    join: { kind: string; arity: number };
    in: readonly number[];
    out: readonly number[];
  }[];
  edges: readonly { from: number; to: number }[];
}

/** An upper bound of the tokens in flight at one time, waiting ones included. */
export function boundTokens(graph: FlowGraph): number {
  const flow = new Array<number>(graph.edges.length).fill(0);
  let created = 0;
  for (const node of graph.nodes) {
    const isEarly = node.join.kind !== "all" && node.join.arity > 1;
    const arriving = isEarly ? 0 : node.in.reduce((sum, edge) => sum + (flow[edge] ?? 0), 0);
    const needed = Math.max(1, node.out.length);
    created += Math.max(0, needed - arriving);
    let spare = Math.max(0, arriving - needed);
    // What is to spare goes where most will be needed.
    const wanted = node.out.map((edge) => graph.nodes[graph.edges[edge]?.to ?? 0]?.out.length ?? 0);
    const byWant = node.out.map((edge, i) => ({ edge, want: wanted[i] ?? 0 }));
    byWant.sort((a, b) => b.want - a.want);
    for (const [i, { edge, want }] of byWant.entries()) {
      const isLast = i === byWant.length - 1;
      const extra = isLast ? spare : Math.min(spare, Math.max(0, want - 1));
      flow[edge] = 1 + extra;
      spare -= extra;
    }
  }
  return created;
}
