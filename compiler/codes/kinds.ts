/** GV4xxx: node types and their configs. */
import { error, warning } from "./code.ts";
import type { CodeSpec } from "./code.ts";

const node = (type: string, config: string): string => `
name: one
nodes:
  - { id: step, type: ${type}, config: { ${config} } }
`;

export const KIND_CODES = {
  GV4001: error({
    title: "unknown node type",
    remedy: "use one of the node types",
    meaning: "`type` names nothing that this version knows.",
    why: "Nobody could execute the node.",
    wrong: node("functoin", "function_name: f"),
    right: node("function", "function_name: f"),
  }),
  GV4002: error({
    title: "node type not supported yet",
    remedy: "use another node type for now",
    meaning: "The type belongs to the format, but this version does not execute it.",
    why: "The run would stop at this node.",
    wrong: node("emit", ""),
    right: node("function", "function_name: f"),
  }),
  GV4003: error({
    title: "config does not fit the node type",
    remedy: "correct the value in config",
    meaning: "A key of `config` is missing or has a wrong value, by the schema of the node's type.",
    why: "The node would fail in every run.",
    wrong: node("delay", "delay_ms: -5"),
    right: node("delay", "delay_ms: 5"),
  }),
  GV4004: warning({
    title: "unknown key in config",
    remedy: "remove it, or correct its spelling",
    meaning: "`config` has a key that the node's type does not read.",
    why:
      "Files of other origin carry such keys, so it is no error; a misspelt key would " +
      "have no effect.",
    wrong: node("http", 'url: "https://example.com", metod: POST'),
    right: node("http", 'url: "https://example.com", method: POST'),
  }),
} as const satisfies Record<string, CodeSpec>;
