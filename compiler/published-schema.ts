/**
 * The JSON Schema of the format as editors and other tools take it: one document, in which the
 * `type` of a node decides what its `config` holds.
 *
 * Put together from the schemas that the compiler checks with, so there is no second truth. What
 * the compiler only warns of (unknown keys of a config) is let through here too.
 */
import { BODY_GRAPH_SCHEMA, BODY_NODE_SCHEMA, DOCUMENT_SCHEMA } from "./document-schema.ts";
import type { NodeType } from "./ir.ts";
import { KINDS } from "./kinds/index.ts";
import type { Kind } from "./kinds/kind.ts";
import { LOOP_PROPERTIES, LOOP_SCHEMA } from "./kinds/loop-properties.ts";
import { namesOf } from "./kinds/types.ts";

export type JsonSchema = { readonly [keyword: string]: unknown };

/** What has diagnostics of its own in the compiler, and so is left open in its schemas. */
const LOOP_REQUIRED = {
  condition: { ...LOOP_PROPERTIES.condition, type: ["string", "boolean"] },
  max_iterations: { ...LOOP_PROPERTIES.max_iterations, type: "integer", minimum: 1 },
};

/** The whole schema. */
export function publishedSchema(): JsonSchema {
  const { properties, ...rest } = DOCUMENT_SCHEMA;
  const node = properties.nodes.items;
  return withoutOurKeywords({
    ...rest,
    $id: "urn:gavotte:workflow:1",
    description: "A workflow: nodes, and the edges that say what follows what.",
    properties: { ...properties, nodes: { ...properties.nodes, items: ref("node") } },
    $defs: {
      node: nodeSchema(node),
      body_node: nodeSchema(BODY_NODE_SCHEMA),
      body_graph: {
        ...BODY_GRAPH_SCHEMA,
        properties: {
          ...BODY_GRAPH_SCHEMA.properties,
          nodes: { ...properties.nodes, items: ref("node") },
        },
      },
      ...Object.fromEntries(KINDS.map((kind) => [`config_${kind.type}`, configSchema(kind)])),
      loop: { ...LOOP_SCHEMA, ...loopKeys(LOOP_SCHEMA.properties) },
    },
  }) as JsonSchema;
}

/** The schema of one type's config. */
export function publishedConfigSchema(type: NodeType): JsonSchema {
  const { $schema, $id, $defs } = publishedSchema();
  const defs = $defs as { readonly [name: string]: JsonSchema };
  const name = `config_${type}`;
  return {
    ...{ $schema, $id: `${String($id)}:${name}`, title: `config of a ${type} node` },
    ...defs[name],
    // Only a map's body stands for whole nodes.
    ...(type === "map" ? { $defs: defs } : {}),
  };
}

function ref(name: string): JsonSchema {
  return { $ref: `#/$defs/${name}` };
}

function nodeSchema(node: { properties: JsonSchema }): JsonSchema {
  const type = node.properties["type"] as JsonSchema;
  const loop = node.properties["loop"] as JsonSchema;
  const names = KINDS.flatMap((kind) => namesOf(kind.type));
  return {
    ...node,
    properties: {
      ...node.properties,
      type: { ...type, enum: names },
      loop: { ...loop, ...ref("loop") },
    },
    allOf: KINDS.filter((kind) => kind.isSupported).map((kind) => ({
      if: { properties: { type: { enum: namesOf(kind.type) } }, required: ["type"] },
      then: {
        properties: { config: ref(`config_${kind.type}`) },
        ...(needsConfig(kind) ? { required: ["config"] } : {}),
        ...(kind.type === "loop" ? { anyOf: LOOP_PLACES } : {}),
      },
    })),
  };
}

/** A loop has its keys in the property `loop`, or in its config. */
const LOOP_PLACES = [
  { required: ["loop"] },
  { required: ["config"], properties: { config: { required: Object.keys(LOOP_REQUIRED) } } },
];

function needsConfig(kind: Kind): boolean {
  return kind.type !== "loop" && ("required" in kind.schema || "oneOf" in kind.schema);
}

function configSchema(kind: Kind): JsonSchema {
  const { schema } = kind;
  if (kind.type === "loop")
    return { ...schema, properties: loopKeys(schema.properties).properties };
  if (kind.type !== "map") return schema;
  const body = { ...schema.properties["do"], ...bodySchema() };
  return { ...schema, properties: { ...schema.properties, do: body } };
}

/** `do` of a map: a graph if it has nodes, else a node. */
function bodySchema(): JsonSchema {
  return { if: { required: ["nodes"] }, then: ref("body_graph"), else: ref("body_node") };
}

function loopKeys(properties: JsonSchema): { properties: JsonSchema; required: string[] } {
  const required = Object.keys(LOOP_REQUIRED);
  return { properties: { ...properties, ...LOOP_REQUIRED }, required };
}

/** Other readers do not know them, and strict ones refuse them. */
export function withoutOurKeywords(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOurKeywords);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !key.startsWith("x-"));
  return Object.fromEntries(kept.map(([key, part]) => [key, withoutOurKeywords(part)]));
}

/** The types of nodes whose configs have a schema. */
export function publishedKinds(): string[] {
  return KINDS.filter((kind) => kind.isSupported).map((kind) => kind.type);
}
