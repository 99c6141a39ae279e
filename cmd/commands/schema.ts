/** `gavotte schema [--kind TYPE]`: the JSON Schema of workflow files, or of a node type's config. */
import type { NodeType } from "../../compiler/ir.ts";
import { publishedConfigSchema, publishedKinds, publishedSchema } from "../../compiler/report.ts";
import { nearestName } from "../../condition/suggest.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";

/** Throws GV_BAD_INPUT for what is no node type. */
export function schema({ output }: Context, { kind }: { kind?: string }): number {
  const kinds = publishedKinds();
  if (kind !== undefined && !kinds.includes(kind)) {
    const near = nearestName(kind, kinds);
    const remedy = near === undefined ? `there is ${kinds.join(", ")}` : `did you mean ${near}?`;
    throw new GavotteError("GV_BAD_INPUT", `--kind ${kind}: no such node type; ${remedy}`);
  }
  const value = kind === undefined ? publishedSchema() : publishedConfigSchema(kind as NodeType);
  // With --json it is the one document; without it is the same text.
  if (output.json) output.document(value);
  else output.raw(`${JSON.stringify(value, null, 2)}\n`);
  return EXIT.done;
}
