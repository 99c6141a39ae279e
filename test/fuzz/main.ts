/**
 * `npm run fuzz -- --seconds N --seed S`: mutations of the corpus until the time is up. Stops at the
 * first text that breaks a rule, takes too long or leaves too much in memory, prints it, exits with
 * 1. Put such a text into test_data/dialects/native/invalid, with its golden output.
 */
import { parseArgs } from "node:util";
import { seeded } from "../harness/random.ts";
import { EXPRESSIONS, FILES } from "./corpus.ts";
import { mutate } from "./mutate.ts";
import { compileAny, expressAny } from "./target.ts";

/** Longer than any text of this size needs, on a busy machine too. */
const CASE_MS_MAX = 5000;
const HEAP_BYTES_MAX = 1.5e9;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 1e9) },
  },
});
const seed = Number(values.seed);
const endsAt = Date.now() + Number(values.seconds) * 1000;
const random = seeded(seed);

function runCase(n: number): string | null {
  const kind = n % 3;
  const text = mutate(random, kind === 2 ? EXPRESSIONS : FILES);
  const file = kind === 0 ? "w.json" : "w.yaml";
  const startedAt = performance.now();
  let problem: string | null = null;
  try {
    if (kind === 2) expressAny(text);
    else compileAny(text, file);
  } catch (error) {
    problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const ms = performance.now() - startedAt;
  if (ms > CASE_MS_MAX) problem ??= `took ${Math.round(ms)} ms`;
  if (process.memoryUsage().heapUsed > HEAP_BYTES_MAX) problem ??= "the heap has grown too large";
  return (
    problem && `${problem}\nin ${kind === 2 ? "an expression" : file}:\n${JSON.stringify(text)}`
  );
}

console.log(`fuzz: seed ${seed}, ${FILES.length} files, ${EXPRESSIONS.length} expressions`);
let cases = 0;
let problem: string | null = null;
while (problem === null && Date.now() < endsAt) {
  problem = runCase(cases++);
}
console.log(problem === null ? `fuzz: ${cases} cases, nothing found` : `case ${cases}: ${problem}`);
process.exitCode = problem === null ? 0 : 1;
