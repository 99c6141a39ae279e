/**
 * How a run that has ended is read off its hash: for whoever has no journal at hand.
 *
 * A run with an `output` template has its output written down; without one it is that of the
 * terminal nodes, still in their records (25-contracts, run output).
 */
import type { Ir } from "../compiler/ir.ts";
import { parseRecord } from "./entry.ts";

/** Indexes of the nodes whose outputs make up the output of a run. */
export function terminalNodes(ir: Ir): number[] {
  return ir.nodes.flatMap((node, index) =>
    node.is_terminal && node.synthetic !== true ? [index] : [],
  );
}

/** Fields of a run's hash that `terminalOutput` reads. */
export function terminalFields(terminals: readonly number[]): string[] {
  return terminals.flatMap((node) => [`n${node}`, `l${node}`]);
}

/**
 * Output as JSON text from the values of those fields: of the only terminal node that completed, an
 * object of several by node id, `null` of none. `resolve` gives what a node's text stands for: a
 * large one is a reference (blobs.ts).
 */
export async function terminalOutput(
  ir: Ir,
  terminals: readonly number[],
  values: readonly (string | null | undefined)[],
  resolve: (text: string) => Promise<string>,
): Promise<string> {
  const done: { id: string; output: string }[] = [];
  for (const [i, node] of terminals.entries()) {
    const record = parseRecord(values[2 * i]);
    // A latch without out-edges counts if it completed in its loop's last round.
    const isLast = record?.scope === "" || values[2 * i + 1] === `e${record?.scope}`;
    if (record?.state === "c" && isLast) {
      done.push({ id: ir.nodes[node]?.id ?? String(node), output: await resolve(record.rest) });
    }
  }
  if (done.length < 2) {
    return done[0]?.output ?? "null";
  }
  return `{${done.map(({ id, output }) => `${JSON.stringify(id)}:${output}`).join(",")}}`;
}
