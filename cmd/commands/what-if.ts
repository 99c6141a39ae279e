/** `gavotte what-if FILE`: how long many runs take on so many workers, and what holds them up. */
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readInput } from "../read-input.ts";
import { readChoice, readCount } from "../read-option.ts";
import type { Arrivals } from "../simulation/what-if.ts";
import { readSeed } from "./simulate.ts";

export interface WhatIfFlags {
  input?: unknown;
  mock?: unknown;
  seed?: unknown;
  runs?: unknown;
  rate?: unknown;
  arrivals?: unknown;
  workers?: unknown;
  limit?: unknown;
  dialect?: unknown;
}

/** 0, whatever the runs come to: that is the answer. Throws GV_BAD_INPUT for what is wrong. */
export async function whatIfCommand(
  context: Context,
  file: string,
  flags: WhatIfFlags,
): Promise<number> {
  const { loadSimulation, namesIn, queuesIn } = await import("../simulation/load.ts");
  const loaded = await loadSimulation(context, file, flags);
  if (loaded === null) return EXIT.failed;
  const { ir, mocks, files } = loaded;
  const input = await readInput(context, flags.input);
  const { assertInput } = await import("../simulation/given.ts");
  assertInput(ir, input);
  const { readLimits, readWorkers } = await import("../simulation/limits.ts");
  const arrivals = await readArrivals(flags);
  const limits = readLimits(listOf(flags.limit), namesIn(ir).nodes, queuesIn(ir));
  const { whatIf } = await import("../simulation/what-if.ts");
  const options = { mocks, files, seed: readSeed(flags.seed), nowMs: Date.now() };
  const asked = listOf(flags.workers);
  const scenarios = (asked.length === 0 ? [null] : asked).map((text) => {
    const workers = text === null ? new Map<string, number>() : readWorkers(text, queuesIn(ir));
    const capacity = { workers, limits };
    const report = whatIf(ir, input, { ...options, capacity }, arrivals);
    return { workers: text ?? "as many as needed", report };
  });
  const { tellWhatIf } = await import("../simulation/tell-what-if.ts");
  tellWhatIf(context.output, scenarios);
  context.output.document({
    ...{
      runs: arrivals.runs,
      every_ms: arrivals.everyMs,
      arrivals: arrivals.isRandom ? "poisson" : "even",
    },
    scenarios: scenarios.map(({ workers, report }) => ({ workers, ...report })),
  });
  return EXIT.done;
}

async function readArrivals({ runs, rate, arrivals }: WhatIfFlags): Promise<Arrivals> {
  const count = readCount("--runs", String(runs ?? "1"), RUNS_MAX);
  const kind = readChoice("--arrivals", String(arrivals ?? "poisson"), ["poisson", "even"]);
  if (rate === undefined) return { runs: count, everyMs: 0, isRandom: false };
  const { parseRate } = await import("../simulation/limits.ts");
  const text = String(rate);
  const found = parseRate(/^[\d.]+$/.test(text) ? `${text}/s` : text);
  if (found === undefined) {
    const message = `--rate ${text}: give runs per second, or such as 30/min`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return { runs: count, everyMs: found.per_ms / found.limit, isRandom: kind === "poisson" };
}

/** Each of them is kept in memory until the end. */
const RUNS_MAX = 100_000;

function listOf(given: unknown): string[] {
  return Array.isArray(given) ? given.map(String) : [];
}
