/**
 * The schemas that documents are checked against, by name.
 *
 * Making a validator of a schema costs more than checking a document of a hundred nodes, so the
 * build makes one for each of these beforehand (validators.ts). Others are made when first used.
 */
import { BODY_GRAPH_SCHEMA, BODY_NODE_SCHEMA, DOCUMENT_SCHEMA } from "./document-schema.ts";
import { KINDS } from "./kinds/index.ts";
import { LOOP_SCHEMA } from "./kinds/loop-properties.ts";

export const SCHEMAS: ReadonlyMap<string, object> = new Map<string, object>([
  ["document", DOCUMENT_SCHEMA],
  ["body_graph", BODY_GRAPH_SCHEMA],
  ["body_node", BODY_NODE_SCHEMA],
  ["loop", LOOP_SCHEMA],
  ...KINDS.map((kind) => [`config_${kind.type}`, kind.schema] as const),
]);
