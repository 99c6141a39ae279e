/** `gavotte simulate FILE`: what a workflow does, without Redis, Postgres or anything it would reach. */
import type { Ir, Json } from "../../compiler/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readInput } from "../read-input.ts";
import { readText, readWorkflow, tellDiagnostics } from "../read-workflow.ts";
import type { Mocks } from "../simulation/mocks.ts";
import type { Interleavings, Simulation } from "../simulation/simulate.ts";

export interface SimulateFlags {
  input?: unknown;
  mock?: unknown;
  seed?: unknown;
  interleavings?: unknown;
  dialect?: unknown;
}

/** 0 if the run completes, else 1. */
export async function simulateCommand(
  context: Context,
  file: string,
  flags: SimulateFlags,
): Promise<number> {
  const read = await readWorkflow(context, file, flags);
  await tellDiagnostics(context, read);
  const { ir, diagnostics } = read.result;
  if (ir === null) {
    context.output.document({ simulation: null, diagnostics });
    return EXIT.failed;
  }
  const input = await readInput(context, flags.input);
  const mocks = await readMockFile(context, flags.mock, ir);
  await assertMocked(ir, mocks);
  const seed = readCount(flags.seed ?? 1, "--seed");
  const { simulate, interleave } = await import("../simulation/simulate.ts");
  const options = { mocks, seed };
  const simulation = simulate(ir, input, options);
  const wanted = flags.interleavings;
  const others =
    wanted === undefined
      ? null
      : interleave(
          ir,
          input,
          options,
          wanted === "all" ? "all" : readCount(wanted, "--interleavings"),
        );
  tell(context, simulation);
  if (others !== null) tellOthers(context, others);
  const { trace: _, ...summary } = simulation;
  context.output.document({ ...summary, ...(others === null ? {} : { interleavings: others }) });
  return simulation.status === "COMPLETED" ? EXIT.done : EXIT.failed;
}

/** All node ids of a workflow, those in bodies of maps too. */
export function idsOf(ir: Ir): string[] {
  return ir.nodes.flatMap((node) => [
    node.id,
    ...(node.body === undefined ? [] : idsOf(node.body)),
  ]);
}

/** Throws GV_BAD_INPUT if a step reaches outside and nothing says what it answers. */
export async function assertMocked(ir: Ir, mocks: Mocks): Promise<void> {
  const { skeleton, unmocked } = await import("../simulation/handlers.ts");
  const missing = unmocked(ir, mocks);
  if (missing.length > 0) {
    const ids = missing.map(({ id }) => id).join(", ");
    const message = `these steps reach outside and have no mock: ${ids}; a file for --mock begins so:\n`;
    throw new GavotteError("GV_BAD_INPUT", message + skeleton(missing));
  }
}

async function readMockFile(context: Context, file: unknown, ir: Ir): Promise<Mocks> {
  const { NO_MOCKS, readMocks } = await import("../simulation/mocks.ts");
  return typeof file === "string"
    ? readMocks(await readText(context.cwd, file), file, idsOf(ir))
    : NO_MOCKS;
}

function readCount(value: unknown, flag: string): number {
  const count = Number(value);
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new GavotteError("GV_BAD_INPUT", `${flag} ${String(value)}: give a whole number from 1`);
}

function tell({ output }: Context, simulation: Simulation): void {
  output.table(
    simulation.steps.map(({ node, home, scope, attempt, from, to }) => [
      `${Math.round(from)}..${Math.round(to)} ms`,
      node,
      [home, scope, attempt > 1 ? `attempt ${attempt}` : ""]
        .filter((part) => part !== "")
        .join(" "),
    ]),
  );
  output.line("");
  const { edges, nodes } = simulation.coverage;
  const count = (list: readonly boolean[]): string =>
    `${list.filter(Boolean).length} of ${list.length}`;
  output.line(`${simulation.status} after ${Math.round(simulation.ms)} ms`);
  output.line(`path      ${simulation.path.join(" > ")}`);
  output.line(
    `covered   ${count(nodes.map((n) => n.executed))} nodes, ${count(edges.map((e) => e.taken))} edges`,
  );
  for (const { from, to, condition } of edges.filter(({ taken }) => !taken)) {
    output.line(`  not taken: ${from} -> ${to}${condition === null ? "" : ` if ${condition}`}`);
  }
  if (simulation.error !== undefined) {
    const { code, message, node } = simulation.error;
    output.line(`error     ${code}: ${message}${node === undefined ? "" : ` (${node})`}`);
  }
  output.line(`output    ${JSON.stringify(simulation.output as Json)}`);
}

function tellOthers({ output }: Context, { outcomes, tried, isComplete }: Interleavings): void {
  const extent = isComplete ? `all ${tried} interleavings` : `${tried} interleavings`;
  output.line(
    outcomes.length === 1
      ? `${extent} end the same`
      : `${extent} end in ${outcomes.length} different ways:`,
  );
  for (const { status, output: value, error, count, path } of outcomes.length === 1
    ? []
    : outcomes) {
    output.line(`  ${count} x ${status} ${error ?? JSON.stringify(value)}`);
    output.line(`      e.g. ${path.join(" > ")}`);
  }
}
