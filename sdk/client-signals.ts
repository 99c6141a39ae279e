/**
 * A client's signals to a run. One id is one signal, however often it is sent: who repeats one that the
 * run took before gets its receipt, also after the run has ended.
 */
import { uuidv7 } from "uuidv7";
import type { Ir, Json } from "../compiler/ir.ts";
import { notFound } from "./client-ends.ts";
import {
  assertSize,
  assertText,
  badInput,
  patiently,
  tooLarge,
  waitsForNothing,
  type WaitClient,
} from "./client-waits.ts";
import { GavotteError } from "./errors.ts";
import { readRun, type RunRow } from "./postgres/index.ts";
import { signalRun } from "./redis/wait-scripts.ts";
import { tookSignal } from "./repeated-answers.ts";
import { misfit } from "./schema-check.ts";
import { isTerminal } from "./status.ts";
import { SIGNALS_KEPT_MAX, signalNames, signalSchemas } from "./waits.ts";

export interface SignalReceipt {
  run_id: string;
  signal: string;
  id: string;
  /** kept: the next node that waits for it takes it. repeated: this id was accepted before. */
  outcome: "delivered" | "kept" | "repeated";
}

/** See Client.signal. */
export async function sendSignal(
  client: WaitClient,
  runId: string,
  name: string,
  data: Json,
  id: string = uuidv7(),
): Promise<SignalReceipt> {
  assertText("the signal's id", id);
  const row = await readRun(client.db, runId);
  if (row === null) {
    throw notFound(runId);
  }
  if (isTerminal(row.status)) {
    return repeatedSignal(client, row, name, id);
  }
  assertAwaited(await client.irOf(row.irHash), name, data);
  const value = { kind: "signal", name, id, data };
  assertSize(value);
  const scripts = await client.scriptsOf(runId);
  const outcome = await patiently(client, runId, () =>
    signalRun(scripts, { runId, id, name, data }),
  );
  switch (outcome) {
    case "delivered":
    case "kept":
    case "repeated":
      return { run_id: runId, signal: name, id, outcome };
    case "full":
      throw new GavotteError(
        "GV_SIGNALS_FULL",
        `run ${runId} keeps ${SIGNALS_KEPT_MAX} signals that nothing waits for yet, and takes no more`,
      );
    case "too_large":
      throw tooLarge();
    default:
      return repeatedSignal(client, row, name, id);
  }
}

/** The receipt of a signal that the run took before it ended; of another one the error. */
async function repeatedSignal(
  client: WaitClient,
  { id: runId, status }: RunRow,
  name: string,
  id: string,
): Promise<SignalReceipt> {
  if (await tookSignal(client, runId, id)) {
    return { run_id: runId, signal: name, id, outcome: "repeated" };
  }
  throw waitsForNothing(runId, isTerminal(status) ? status : undefined);
}

function assertAwaited(ir: Ir, name: string, data: Json): void {
  const schemas = signalSchemas(ir, name);
  if (schemas.length === 0) {
    const names = signalNames(ir);
    const known = names.length === 0 ? "it waits for none" : `it waits for ${names.join(", ")}`;
    const message = `workflow ${ir.name} never waits for a signal "${name}": ${known}`;
    throw new GavotteError("GV_SIGNAL_UNKNOWN", message, { details: { known: names } });
  }
  // Which of them it will serve is not known yet: it must fit one.
  const problems = schemas.map((schema) => misfit(schema, data));
  const [first] = problems;
  if (!problems.includes(null)) {
    throw badInput(`the payload of signal "${name}" does not fit its schema: ${first}`);
  }
}
