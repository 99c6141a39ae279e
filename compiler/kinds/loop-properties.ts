/** Keys of a loop: in `config` of a `loop` node, or in the property `loop` of another. */
import { msFrom0 } from "./durations.ts";

const nodeId = { type: "string", minLength: 1, "x-expect": "a node id" } as const;

const nodeIds = {
  anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }],
  "x-expect": "a node id or a list of them",
} as const;

/**
 * `max_iterations` and `condition` are required, but a loop without them has codes of its own, so
 * the schema takes any value there.
 */
export const LOOP_PROPERTIES = {
  loop_back_to: { ...nodeId, description: "Where a round begins: this node, or one before it." },
  condition: { description: "CEL over `output`: whether another round is wanted. Required." },
  max_iterations: { description: "Rounds at most, from 1. Required." },
  break_path: { ...nodeIds, description: "Where to go when no further round is wanted." },
  timeout_path: { ...nodeIds, description: "Where to go when all rounds are used up." },
  delay_ms: { ...msFrom0, description: "Wait between rounds." },
} as const;

/** The property `loop` of a node of another type. */
export const LOOP_SCHEMA = {
  type: "object",
  properties: LOOP_PROPERTIES,
  additionalProperties: false,
} as const;
