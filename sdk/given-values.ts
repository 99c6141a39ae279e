/**
 * Values that somebody gives by hand in place of what a node gets or puts out: checked against the
 * node's schemas when they are given, so that who gives them is told, and not a node further on.
 */
import type { IrNode, Json } from "../compiler/ir.ts";
import { GavotteError } from "./errors.ts";
import { misfit } from "./schema-check.ts";

/** Why a value given cannot stand for the node's input or output; null if it can. */
export function givenMisfit(node: IrNode, what: "input" | "output", value: Json): string | null {
  const schema = what === "input" ? node.input_schema : node.output_schema;
  const wrong = misfit(schema, value);
  const name = `${what}_schema`;
  return wrong === null
    ? null
    : `the ${what} given for node "${node.id}" does not fit its ${name}: ${wrong}`;
}

/** Throws GV_BAD_INPUT if it cannot. */
export function requireFit(node: IrNode, what: "input" | "output", value: Json): void {
  const wrong = givenMisfit(node, what, value);
  if (wrong !== null) {
    throw new GavotteError("GV_BAD_INPUT", wrong);
  }
}
