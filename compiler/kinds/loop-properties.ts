/** Keys of a loop: in `config` of a `loop` node, or in the property `loop` of another. */
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
  loop_back_to: nodeId,
  condition: true,
  max_iterations: true,
  break_path: nodeIds,
  timeout_path: nodeIds,
  delay_ms: { type: "integer", minimum: 0, "x-expect": "an integer from 0" },
} as const;

/** The property `loop` of a node of another type. */
export const LOOP_SCHEMA = {
  type: "object",
  properties: LOOP_PROPERTIES,
  additionalProperties: false,
} as const;
