/**
 * Amazon States Language.
 *
 * Each state becomes one node, and nodes around it where its data flow needs them: `_in` keeps the
 * state's input, `_out` puts the result into the document, `_catch` makes the error's document.
 * fields.ts says what becomes of every field; docs/dialects.md shows it.
 */
import { asObject, own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import { reportAt } from "../front-end.ts";
import type { FrontContext, FrontEnd } from "../front-end.ts";
import { GraphBuilder, Ids } from "./builder.ts";
import { MACHINE_FIELDS } from "./fields.ts";
import { emitMachine } from "./machine.ts";
import { checkFields } from "./validate.ts";

export const readAsl: FrontEnd = (root, context) => {
  checkFields(root, MACHINE_FIELDS, "", "a state machine", context);
  const builder = new GraphBuilder(context.draft);
  const outer = new Set(Object.keys(asObject(own(root, "States")) ?? {}));
  const inner = { isInMap: false, emitInner: emitMachine };
  const scope = { context, ids: new Ids(), builder, outer, ...inner };
  emitMachine(root, "", scope, null);
  const document: JsonObject = {};
  const metadata = readMetadata(root, context);
  if (metadata) document["metadata"] = metadata;
  const { nodes, edges } = builder.finish();
  context.draft.set(document, "nodes", nodes, "/States");
  context.draft.set(document, "edges", edges, "/States");
  readTimeout(root, document, context);
  return document;
};

/** The language has no name for a machine: it is the file's. */
function readMetadata(root: JsonObject, context: FrontContext): JsonObject | undefined {
  const metadata: JsonObject = {};
  if (context.fileName !== undefined) metadata["name"] = context.fileName;
  const comment = own(root, "Comment");
  if (typeof comment === "string") context.draft.set(metadata, "description", comment, "/Comment");
  return Object.keys(metadata).length === 0 ? undefined : metadata;
}

function readTimeout(root: JsonObject, document: JsonObject, context: FrontContext): void {
  const seconds = own(root, "TimeoutSeconds");
  if (seconds === undefined) return;
  if (typeof seconds !== "number" || seconds <= 0) {
    const message = "`TimeoutSeconds` must be a number of seconds above 0";
    return reportAt(context, "GV1013", "/TimeoutSeconds", message);
  }
  const settings: JsonObject = {};
  context.draft.set(settings, "timeout_ms", Math.round(seconds * 1000), "/TimeoutSeconds");
  context.draft.set(document, "settings", settings, "/TimeoutSeconds");
}
