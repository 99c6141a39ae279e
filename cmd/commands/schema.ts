/** `gavotte schema [WHAT]`: the JSON Schema of workflow files, a node type's config, mocks, tests. */
import type { NodeType } from "../../compiler/ir.ts";
import {
  publishedConfigSchema,
  publishedKinds,
  publishedSchema,
  withoutOurKeywords,
} from "../../compiler/report.ts";
import { nearestName } from "../../condition/suggest.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readChoice } from "../read-option.ts";
import { MOCKS_SCHEMA } from "../simulation/mocks-schema.ts";
import { TEST_SCHEMA } from "../simulation/test-schema.ts";

const SCHEMAS = {
  workflow: publishedSchema,
  mocks: () => withoutOurKeywords(MOCKS_SCHEMA),
  test: () => withoutOurKeywords(TEST_SCHEMA),
};

/** Throws GV_BAD_INPUT for what is no kind of file, or no node type. */
export function schema(
  { output }: Context,
  given: string | undefined,
  { kind }: { kind?: string },
): number {
  const names = Object.keys(SCHEMAS) as (keyof typeof SCHEMAS)[];
  const what = readChoice("WHAT", given ?? "workflow", names);
  const kinds = publishedKinds();
  if (kind !== undefined && !kinds.includes(kind)) {
    const near = nearestName(kind, kinds);
    const remedy = near === undefined ? `there is ${kinds.join(", ")}` : `did you mean ${near}?`;
    throw new GavotteError("GV_BAD_INPUT", `--kind ${kind}: no such node type; ${remedy}`);
  }
  const value = kind === undefined ? SCHEMAS[what]() : publishedConfigSchema(kind as NodeType);
  // With --json it is the one document; without it is the same text.
  if (output.json) output.document(value);
  else output.raw(`${JSON.stringify(value, null, 2)}\n`);
  return EXIT.done;
}
