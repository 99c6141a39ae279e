/**
 * compiler/workflow-file.gen.ts: TypeScript types of the format, from its published schema, for
 * people who write workflows in TypeScript.
 *
 * Not by a general tool: those do not read `if`/`then`, and it is there that the schema says which
 * config goes with which type. Here each type of node becomes a member of a union.
 */
import { KINDS } from "../../compiler/kinds/index.ts";
import { namesOf } from "../../compiler/kinds/types.ts";
import { publishedSchema, type JsonSchema } from "../../compiler/published-schema.ts";

type Named = { readonly [name: string]: JsonSchema };

const NAMES = new Map([
  ["node", "WorkflowNode"],
  ["body_node", "MapBodyNode"],
  ["body_graph", "MapBodyGraph"],
  ["loop", "LoopKeys"],
]);

/** Types whose config holds parameters of a function under names of its own. */
const OPEN_CONFIGS = new Set(["function", "loop"]);

/** The generated module by its path. */
export function generateTypes(): { [path: string]: string } {
  const schema = publishedSchema();
  const defs = schema["$defs"] as Named;
  const supported = KINDS.filter((kind) => kind.isSupported).map((kind) => kind.type);
  const common = { ...(defs["node"]?.["properties"] as Named) };
  delete (common as { [name: string]: unknown })["type"];
  delete (common as { [name: string]: unknown })["config"];
  const nodes = supported.map((type) => nodeType(type, defs));
  const configs = supported.map((type) => {
    const config = defs[`config_${type}`] ?? {};
    return `export interface ${pascal(type)}Config ${objectType(config, OPEN_CONFIGS.has(type))}`;
  });
  const parts = [
    "// Generated from the schema of workflow files by scripts/dev/gen-types.ts (npm run gen).",
    "export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };",
    `/** ${String(schema["description"])} */\nexport interface WorkflowFile ${objectType(schema)}`,
    `interface NodeCommon ${objectType({ properties: common, required: ["id"] })}`,
    ...nodes,
    `export type WorkflowNode =\n${supported.map((type) => `  | ${pascal(type)}Node`).join("\n")};`,
    'type WithoutId<Node> = Node extends unknown ? Omit<Node, "id"> & { id?: string } : never;',
    "/** `do` of a map, written as one node: it needs no id. */\n" +
      "export type MapBodyNode = WithoutId<WorkflowNode>;",
    `/** \`do\` of a map, written as a graph. */\n` +
      `export interface MapBodyGraph ${objectType(defs["body_graph"] ?? {})}`,
    `export interface LoopKeys ${objectType(defs["loop"] ?? {})}`,
    ...configs,
  ];
  return { "compiler/workflow-file.gen.ts": `${parts.join("\n\n")}\n` };
}

function nodeType(type: string, defs: Named): string {
  const names = namesOf(type as never).map((name) => JSON.stringify(name));
  const rules = (defs["node"]?.["allOf"] ?? []) as { if: JsonSchema; then: JsonSchema }[];
  const rule = rules.find(({ if: test }) => JSON.stringify(test).includes(`["${type}"`));
  const isRequired = ((rule?.then["required"] ?? []) as string[]).includes("config");
  const config = `config${isRequired ? "" : "?"}: ${pascal(type)}Config`;
  const body = `{\n  type: ${names.join(" | ")};\n  ${config};\n}`;
  return `export interface ${pascal(type)}Node extends NodeCommon ${body}`;
}

function pascal(type: string): string {
  return type.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function typeOf(schema: JsonSchema): string {
  if (typeof schema["$ref"] === "string") return refType(schema["$ref"]);
  if (Array.isArray(schema["enum"])) return union(schema["enum"].map((v) => JSON.stringify(v)));
  if (Array.isArray(schema["anyOf"]) && schema["type"] === undefined) {
    return union(schema["anyOf"].map((part) => typeOf(part as JsonSchema)));
  }
  if (schema["else"] !== undefined) {
    return union([schema["then"], schema["else"]].map((part) => typeOf(part as JsonSchema)));
  }
  const types = [schema["type"] ?? []].flat() as string[];
  return types.length === 0 ? "Json" : union(types.map((type) => simpleType(type, schema)));
}

function refType(reference: string): string {
  const name = reference.replace("#/$defs/", "");
  return NAMES.get(name) ?? `${pascal(name.replace("config_", ""))}Config`;
}

function simpleType(type: string, schema: JsonSchema): string {
  if (type === "integer") return "number";
  if (type === "array") {
    const items = schema["items"] as JsonSchema | undefined;
    return items === undefined ? "Json[]" : arrayOf(typeOf(items));
  }
  if (type !== "object") return type;
  return schema["properties"] === undefined ? "{ [key: string]: Json }" : objectType(schema);
}

function arrayOf(type: string): string {
  return /^\w+$/.test(type) ? `${type}[]` : `(${type})[]`;
}

function objectType(schema: JsonSchema, isOpen = false): string {
  const properties = (schema["properties"] ?? {}) as Named;
  const required = new Set((schema["required"] ?? []) as string[]);
  const members = Object.entries(properties).map(([name, property]) => {
    const about = property["description"];
    const comment = typeof about === "string" ? `  /** ${about} */\n` : "";
    const type = typeOf(property).replaceAll("\n", "\n  ");
    return `${comment}  ${name}${required.has(name) ? "" : "?"}: ${type};`;
  });
  const index = isOpen
    ? ["  /** Parameters of the function. */\n  [parameter: string]: unknown;"]
    : [];
  return `{\n${[...members, ...index].join("\n")}\n}`;
}

function union(types: readonly string[]): string {
  return [...new Set(types)].join(" | ");
}
