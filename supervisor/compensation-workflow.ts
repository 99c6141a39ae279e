/**
 * The workflow of a run that undoes another one: a chain of functions, and where each finds what it is
 * given.
 *
 * A small run has it in its input. A step reads whole what it names a part of, so of a large input each
 * step would read what all are given. Large runs begin in the middle: nodes before the first step
 * count as completed, each with what some of the steps are given, and each step reads one of these.
 */
import type { Ir, Json } from "../compiler/index.ts";
import {
  isBlobSized,
  OUTPUT_INLINE_BYTES_MAX,
  startFields,
  type BlobTaker,
} from "../sdk/internal.ts";
import { portions, type Definition } from "../sdk/postgres/index.ts";
import type { Chains } from "./chains.ts";
import {
  GIVEN_BYTES_MAX,
  STEPS_MAX,
  type CompensationStep,
  type LeftToUndo,
} from "./compensation-steps.ts";
import type { SupervisorContext } from "./context.ts";

/** What making it takes. */
export interface Making extends Pick<SupervisorContext, "logger" | "clock"> {
  chains: Chains;
}

/** What a run that undoes another one is made of. */
export interface MadeToUndo {
  definition: Definition;
  /** JSON texts, of a large one the reference: the run's input, and the fields that it begins with. */
  input: string;
  start: string | null;
}

const MAX_ATTEMPTS = 5;
const ID_CHARS_MAX = 200;
/** Of a workflow's name, and of its version, as the compiler takes them. */
const NAME_CHARS_MAX = 150;
const VERSION_CHARS_MAX = 100;
/** What one node of a large run holds for its steps, or for one of them. */
const PART_BYTES = 64 * 1024;

/**
 * What undoes what a run has left; if that cannot be made, a run that says so and fails. Null: not even
 * that. Large values go to `large`.
 */
export async function undoingOf(
  context: Making,
  ir: Ir,
  runId: string,
  left: LeftToUndo,
  large: BlobTaker,
): Promise<MadeToUndo | null> {
  // Last completed, first undone.
  const steps = [...left.steps].reverse();
  const why = excessOf(left);
  const made = why ?? (await wholeOf(context, ir, runId, steps, large));
  if (typeof made !== "string") {
    return made;
  }
  context.logger.error({ run: runId, why: made }, "a run is not undone");
  const [first] = steps as [CompensationStep];
  const failing = { ...first, problem: `nothing is undone: ${made}` };
  const definition = await chainOf(context, ir, [failing], []);
  const input = JSON.stringify({ run_id: runId, workflow: ir.name, steps: [] });
  return typeof definition === "string" ? null : { definition, input, start: null };
}

/** Why what is left is too much for one run; null: it is not. */
function excessOf({ count, bytes }: LeftToUndo): string | null {
  if (count > STEPS_MAX) {
    return `the run has left ${count} steps to undo, more than the ${STEPS_MAX} of one run`;
  }
  return bytes > GIVEN_BYTES_MAX
    ? `what its steps are given has more than the ${GIVEN_BYTES_MAX} bytes of one run`
    : null;
}

/** All of it, or why there is none. */
async function wholeOf(
  context: Making,
  ir: Ir,
  runId: string,
  steps: readonly CompensationStep[],
  large: BlobTaker,
): Promise<MadeToUndo | string> {
  const small = steps.reduce((sum, { given }) => sum + given.length, 0) <= OUTPUT_INLINE_BYTES_MAX;
  const input = inputOf(runId, ir, steps, small);
  if (small && !isBlobSized(input)) {
    const definition = await chainOf(context, ir, steps, []);
    return typeof definition === "string" ? definition : { definition, input, start: null };
  }
  const parts = portions(steps, ({ given }) => given.length, PART_BYTES);
  const definition = await chainOf(context, ir, steps, parts);
  if (typeof definition === "string") {
    return definition;
  }
  const start = startOf(definition, parts, large);
  return { definition, input: large.text(inputOf(runId, ir, steps, false)), start };
}

/** The fields that a run begins with whose steps find what they are given in nodes before them. */
function startOf(
  { ir }: Definition,
  parts: readonly (readonly CompensationStep[])[],
  large: BlobTaker,
): string {
  const chain = JSON.parse(ir) as Ir;
  const indexes = new Map(chain.nodes.map(({ id }, index) => [id, index]));
  const given = new Map(
    parts.map((part, k): [number, Json] => {
      const text = large.text(`[${part.map((step) => step.given).join(",")}]`);
      return [indexes.get(partId(k)) ?? -1, JSON.parse(text) as Json];
    }),
  );
  const first = chain.nodes.findIndex(({ id }) => id.startsWith(`${UNDO}1-`));
  const point = { starts: new Map([[first, undefined]]), given, edges: new Map() };
  return JSON.stringify(startFields(chain, point));
}

/** The run's input: what it undoes, and if they are `small` together what its steps are given. */
function inputOf(
  runId: string,
  ir: Ir,
  steps: readonly CompensationStep[],
  small: boolean,
): string {
  const shown = steps.map(({ node, scope, home, given, hasParams }): Json => {
    const place = { node, scope, ...(home === "" ? {} : { home }) };
    return small
      ? { ...place, [hasParams ? "params" : "output"]: JSON.parse(given) as Json }
      : place;
  });
  return JSON.stringify({ run_id: runId, workflow: ir.name, steps: shown });
}

/** As a name may be: workflows that were stored before the compiler said so may have others. */
function named(name: string, charsMax: number): string {
  return [...readable(name).replaceAll("@", "-")].slice(0, charsMax).join("");
}

/** What a document may hold: no control characters, no half of a character, nor what stands for one. */
function readable(text: string): string {
  return Buffer.from(text)
    .toString()
    .replace(/[\p{Cc}\ufffd]/gu, "-");
}

const UNDO = "undo-";
const partId = (part: number): string => `given_${part + 1}`;

/** The chain of these steps, behind nodes with what they are given in `parts`; or why there is none. */
async function chainOf(
  { chains, clock }: Making,
  ir: Ir,
  steps: readonly CompensationStep[],
  parts: readonly (readonly CompensationStep[])[],
): Promise<Definition | string> {
  const places =
    parts.length === 0
      ? steps.map(({ hasParams }, i) => `input.steps[${i}].${hasParams ? "params" : "output"}`)
      : parts.flatMap((part, k) => part.map((_, i) => `ctx.${partId(k)}.output[${i}]`));
  const before = parts.map((_, k): Json => {
    const config = { function_name: "builtin.echo", input: null };
    return { id: partId(k), type: "function", config };
  });
  // The number alone makes an id of the chain.
  const undoing = steps.map((step, i) => {
    const id = `${UNDO}${i + 1}-${step.node}`.slice(0, ID_CHARS_MAX);
    return nodeOf(step, id, places[i] as string);
  });
  const nodes = [...before, ...undoing] as { id: string }[];
  const suffix = ":compensation";
  const document: Json = {
    metadata: {
      name: `${named(ir.name, NAME_CHARS_MAX - suffix.length)}${suffix}`,
      version: named(ir.workflow_version, VERSION_CHARS_MAX),
    },
    nodes,
    edges: nodes.slice(1).map(({ id: to }, i) => ({ from: nodes[i]?.id ?? "", to })),
    settings: { priority: ir.settings.priority },
  };
  const chain = await chains.compile(document);
  return typeof chain === "string" ? chain : { ...chain, source: null, createdAtMs: clock.nowMs() };
}

/** `place`: the expression for what it is given. */
function nodeOf(step: CompensationStep, id: string, place: string): Json {
  if (step.problem !== undefined) {
    const params = { code: "BAD_INPUT", message: readable(step.problem).replaceAll("${", "$ {") };
    return { id, type: "function", config: { function_name: "builtin.fail", params } };
  }
  const given = `\${${place}}`;
  return {
    ...{ id, type: "function", queue: step.queue, retry: { max_attempts: MAX_ATTEMPTS } },
    config: {
      function_name: step.functionName,
      ...(step.hasParams ? { input: null, params: given } : { input: given }),
    },
  };
}
