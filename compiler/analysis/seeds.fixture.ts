/**
 * The published seeds: the verdict of the proofs beside exhaustive execution, seed by seed.
 *
 * Of each seed two graphs are looked at: the random one, and the same with one thing of it damaged.
 * A graph is sound in execution if in no order and with no outputs, failures and timeouts the
 * interpreter comes to something that must not be, or stands still. Where that cannot be tried in
 * full the graph is left out, and counted. The verdict disagrees if it is `proved` for a graph that
 * breaks; a damaged graph that is refuted and does not break in execution is no disagreement: what is
 * damaged there is never reached, or is checked by nobody who executes.
 */
import { createHash } from "node:crypto";
import { hashIr } from "../index.ts";
import type { Ir } from "../index.ts";
import { damage } from "./damage.fixture.ts";
import { executeAll } from "./exhaustive.fixture.ts";
import { prove } from "./proofs.ts";
import { randomGraph } from "./random-graph.fixture.ts";

/** Seeds of one block of the published file. */
export const BLOCK = 100;

/** Executions of one graph: the most that are tried. */
const EXECUTIONS_MAX = 3_000;
const NODES_MAX = 6;

export interface SeedBlock {
  /** First and last seed. */
  from: number;
  to: number;
  /** Graphs that were executed in every way, and those with too many ways. */
  compared: number;
  left_out: number;
  executions: number;
  sound: number;
  broken: number;
  /** Sound in execution, and refuted all the same. */
  cautious: number;
  /** Seeds whose graph breaks though the proofs hold. */
  disagreements: string[];
  /** SHA-256 over each graph's hash, verdict and outcome, in order of the seeds. */
  digest: string;
}

/** Compare all seeds of the block that begins with `from`. */
export function compareBlock(from: number): SeedBlock {
  const block: SeedBlock = {
    ...{ from, to: from + BLOCK - 1, compared: 0, left_out: 0, executions: 0 },
    ...{ sound: 0, broken: 0, cautious: 0, disagreements: [], digest: "" },
  };
  const digest = createHash("sha256");
  for (let seed = from; seed <= block.to; seed++) {
    const ir = randomGraph(seed, { nodesMax: NODES_MAX, loops: seed % 2 === 0 });
    if (!ir) continue;
    for (const [name, graph] of [
      ["", ir],
      [" damaged", damage(ir, seed)],
    ] as const) {
      digest.update(compareGraph(`${seed}${name}`, graph, block));
    }
  }
  return { ...block, digest: digest.digest("hex") };
}

/** Enter one graph into the block; what the digest is made of. */
function compareGraph(name: string, ir: Ir, block: SeedBlock): string {
  const isProved = prove(ir).every(({ verdict }) => verdict === "proved");
  const seen = executeAll(ir, { executionsMax: EXECUTIONS_MAX, orders: true });
  block.executions += seen.executions;
  const isBroken = seen.errors.size > 0 || [...seen.ends].some((end) => !ENDS.has(end));
  // A graph that has been seen to break is judged, however many more ways there would be.
  if (!seen.isComplete && !isBroken) {
    block.left_out++;
    return `${name} ${hashIr(ir)} left out\n`;
  }
  block.compared++;
  if (isBroken) block.broken++;
  else block.sound++;
  if (isBroken && isProved) block.disagreements.push(name);
  if (!isBroken && !isProved) block.cautious++;
  return `${name} ${hashIr(ir)} ${isProved ? "proved" : "refuted"} ${isBroken ? "broken" : "sound"}\n`;
}

/** How a run may end. */
const ENDS: ReadonlySet<string> = new Set(["COMPLETED", "FAILED"]);
