/** `gavotte simulate FILE`: what a workflow does, without Redis, Postgres or anything it would reach. */
import type { Ir, Json } from "../../compiler/index.ts";
import type { Start } from "../../compiler/reference/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readInput, readValue } from "../read-input.ts";
import { readCount } from "../read-option.ts";
import type { Mocks } from "../simulation/mocks.ts";
import type { SimulateOptions } from "../simulation/simulate.ts";

export interface SimulateFlags {
  input?: unknown;
  mock?: unknown;
  seed?: unknown;
  interleavings?: unknown;
  startAt?: unknown;
  value?: unknown;
  given?: unknown;
  workers?: unknown;
  dialect?: unknown;
}

/** 0 if the run completes, else 1. Throws GV_BAD_INPUT for files and options that are wrong. */
export async function simulateCommand(
  context: Context,
  file: string,
  flags: SimulateFlags,
): Promise<number> {
  const { loadSimulation, queuesIn } = await import("../simulation/load.ts");
  const loaded = await loadSimulation(context, file, flags);
  if (loaded === null) return EXIT.failed;
  const { ir, mocks, files } = loaded;
  const input = await readInput(context, flags.input);
  const start = await readStart(context, ir, mocks, flags, input);
  const { assertInput } = await import("../simulation/given.ts");
  assertInput(ir, input);
  const { readWorkers } = await import("../simulation/limits.ts");
  const workers = flags.workers;
  const options: SimulateOptions = {
    ...{ mocks, files, seed: readSeed(flags.seed), nowMs: Date.now() },
    ...(start === null ? {} : { start }),
    ...(typeof workers === "string"
      ? { capacity: { workers: readWorkers(workers, queuesIn(ir)) } }
      : {}),
  };
  const { simulate } = await import("../simulation/simulate.ts");
  const simulation = simulate(ir, input, options);
  const others = await interleavings(ir, input, options, flags.interleavings);
  const tell = await import("../simulation/tell-simulation.ts");
  tell.tellSimulation(context.output, ir, simulation);
  if (others !== null) tell.tellInterleavings(context.output, others);
  const { status, output, error, ms, path, coverage, ...rest } = simulation;
  context.output.document({
    ...{ status, output, ...(error === undefined ? {} : { error }), ms, path, coverage, ...rest },
    ...(others === null ? {} : { interleavings: others }),
  });
  return status === "COMPLETED" ? EXIT.done : EXIT.failed;
}

/** `--seed`: a whole number. Throws GV_BAD_INPUT. */
export function readSeed(value: unknown): number {
  const seed = Number(value ?? 1);
  if (Number.isSafeInteger(seed)) return seed;
  throw new GavotteError("GV_BAD_INPUT", `--seed ${String(value)}: give a whole number`);
}

async function interleavings(ir: Ir, input: Json, options: SimulateOptions, wanted: unknown) {
  if (wanted === undefined) return null;
  const { interleave } = await import("../simulation/interleave.ts");
  const count = wanted === "all" ? "all" : readCount("--interleavings", String(wanted));
  return interleave(ir, input, options, count);
}

/** `--start-at`, with `--value` and `--given`; null without. Throws GV_BAD_INPUT with the reasons. */
async function readStart(
  context: Context,
  ir: Ir,
  mocks: Mocks,
  { startAt: node, value, given }: SimulateFlags,
  input: Json,
): Promise<Start | null> {
  if (typeof node !== "string") {
    if (value === undefined && given === undefined) return null;
    throw new GavotteError("GV_BAD_INPUT", "--value and --given go with --start-at NODE");
  }
  const { givenByMocks } = await import("../simulation/given.ts");
  const outputs =
    given === undefined
      ? {}
      : given === "mocks"
        ? givenByMocks(ir, node, mocks)
        : await readValue(context, String(given), "--given");
  if (typeof outputs !== "object" || outputs === null || Array.isArray(outputs)) {
    const message = "--given: give `mocks`, or an object with outputs by node id";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  const begun = value === undefined ? {} : await readValue(context, String(value), "--value");
  const start = { at: [node], inputs: { [node]: begun }, outputs };
  const { assertStart } = await import("../simulation/given.ts");
  assertStart(ir, start, input);
  return start;
}
