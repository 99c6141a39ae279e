/**
 * What people give to a run by hand: inputs, outputs, errors. It is bounded as the input of a run is,
 * for it comes in one call; and it fits the schemas of its node or workflow. Both are looked at when it
 * is given, so that who gives it is told, and not a node further on.
 */
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import { assertWritten } from "../condition/json-text.ts";
import { GavotteError } from "./errors.ts";
import { misfit } from "./schema-check.ts";

/** Bytes of JSON that one order may give. */
export const GIVEN_BYTES_MAX = 1024 * 1024;

/** Throws GV_BAD_INPUT if this is larger than one order may give; `given` may be undefined. */
export function assertGiven(given: unknown): void {
  const text = JSON.stringify(given) as string | undefined;
  const bytes = Buffer.byteLength(text ?? "");
  if (bytes > GIVEN_BYTES_MAX) {
    const message =
      `what is given has ${bytes} bytes as JSON; at most ${GIVEN_BYTES_MAX} bytes are taken: ` +
      "put it where the workflow can fetch it, and give the reference";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  assertKept(given, text);
}

/** Throws GV_BAD_INPUT if `text`, a value's JSON, says null for a number that JSON does not have. */
export function assertKept(given: unknown, text: string | undefined): void {
  try {
    assertWritten(given, text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new GavotteError("GV_BAD_INPUT", `what is given has ${why}`, { cause });
  }
}

/** Why a value given cannot stand for the node's input or output; null if it can. */
export function givenMisfit(node: IrNode, what: "input" | "output", value: Json): string | null {
  const schema = what === "input" ? node.input_schema : node.output_schema;
  const wrong = misfit(schema, value);
  const name = `${what}_schema`;
  return wrong === null
    ? null
    : `the ${what} given for node "${node.id}" does not fit its ${name}: ${wrong}`;
}

/** Throws GV_BAD_INPUT if a run of this workflow cannot have this input: as of one that is submitted. */
export function assertInput({ input_schema: schema }: Ir, input: Json): void {
  const wrong = misfit(schema ?? undefined, input);
  if (wrong !== null) {
    throw new GavotteError("GV_BAD_INPUT", `the input does not fit input_schema: ${wrong}`);
  }
}

/** Throws GV_BAD_INPUT if it cannot. */
export function requireFit(node: IrNode, what: "input" | "output", value: Json): void {
  const wrong = givenMisfit(node, what, value);
  if (wrong !== null) {
    throw new GavotteError("GV_BAD_INPUT", wrong);
  }
}
