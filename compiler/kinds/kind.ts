/**
 * What the compiler knows of a node kind, and building blocks for the schemas of their configs.
 *
 * Config values may be templates, and what a template gives is known only in a run; so a schema
 * wraps whatever is not a string anyway in `orTemplate`.
 */
import type { Json, NodeType } from "../ir.ts";

type Schema = { readonly [key: string]: unknown };

export interface Kind {
  type: NodeType;
  /** Needs no handler: a worker evaluates it by itself. */
  isPure: boolean;
  /** False: its name is known, compiling it is refused. */
  isSupported: boolean;
  /** Schema of the config; keys that are not in `properties` are warned of. */
  schema: Schema & { readonly properties: { readonly [key: string]: Schema } };
  /** Config keys that hold bare CEL instead of templates, if they hold strings. */
  expressions: readonly string[];
  /** Names that expressions in the config may use besides the ones known everywhere. */
  variables: readonly string[];
  /** Config keys whose strings are no templates, whatever they look like. */
  literals?: readonly string[];
  /** Those of them that hold a JSON Schema. */
  schemas?: readonly string[];
  /** What the schema cannot say, for a config that fits it. */
  check?: (config: JsonObject) => ConfigProblem[];
}

export type JsonObject = { [key: string]: Json };

/** What is wrong with the value of a key. */
export interface ConfigProblem {
  key: string;
  message: string;
}

/** A schema, or a string with an expression in it. */
export function orTemplate(schema: Schema, expect: string, description?: string): Schema {
  return {
    ...(description === undefined ? {} : { description }),
    anyOf: [schema, { type: "string", pattern: "\\$\\{|\\{\\{" }],
    "x-expect": expect,
  };
}

export const nonEmptyText = {
  type: "string",
  minLength: 1,
  "x-expect": "a string that is not empty",
} as const;

/** `config.input`: what the node takes as its input instead of its predecessor's output. */
export const inputOverride = {
  description: "What the node takes as its input, instead of what the edges bring.",
} as const;
