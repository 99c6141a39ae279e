/**
 * The schemas of a node at run time: what it takes before it is executed, what it puts out after.
 *
 * A misfit fails the node and says where in the value it is. An input stays what it is, so it is not
 * tried again; another attempt may well put out something better.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { misfit } from "../../sdk/internal.ts";
import { badInput, ExecutionError } from "./kind.ts";

/** The node's input, if it fits `input_schema`. Throws ExecutionError (BAD_INPUT). */
export function fittingInput(node: IrNode, data: Json): Json {
  const wrong = misfit(node.input_schema, data);
  if (wrong !== null) throw badInput(node, `its input does not fit input_schema: ${wrong}`);
  return data;
}

/** The node's output, if it fits `output_schema`. Throws ExecutionError (BAD_OUTPUT). */
export function fittingOutput(node: IrNode, output: Json): Json {
  const wrong = misfit(node.output_schema, output);
  if (wrong === null) return output;
  const where = `node "${node.id}" (${node.type})`;
  throw new ExecutionError(
    "BAD_OUTPUT",
    `${where}: its output does not fit output_schema: ${wrong}`,
  );
}
