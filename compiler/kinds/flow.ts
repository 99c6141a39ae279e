/** Kinds that steer: `conditional`, `parallel`, `loop`, `delay`. */
import { beginsWithDay } from "../../condition/index.ts";
import { DURATION_MS_MAX } from "../ir.ts";
import { UP_TO_MS } from "./durations.ts";
import { LOOP_PROPERTIES } from "./loop-properties.ts";
import { inputOverride, orTemplate } from "./kind.ts";
import type { ConfigProblem, JsonObject, Kind } from "./kind.ts";
import { functionName } from "./work.ts";

/** ISO 8601: weeks, or days and time; months and years have no fixed length. */
export const DURATION_PATTERN =
  "^P(?!$)(?:\\d+W|(?:\\d+D)?(?:T(?=\\d)(?:\\d+H)?(?:\\d+M)?(?:\\d+(?:\\.\\d+)?S)?)?)$";

const TIMESTAMP_PATTERN =
  "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d(?::\\d\\d(?:\\.\\d+)?)?(?:Z|[+-]\\d\\d:\\d\\d)$";

const onNoMatch = {
  description: "If no edge holds and there is no default: fail, or end there.",
  enum: ["error", "skip"],
} as const;

const conditional: Kind = {
  type: "conditional",
  isPure: true,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      mode: { enum: ["first", "all"], description: "Take the first edge that holds, or all." },
      on_no_match: onNoMatch,
      input: inputOverride,
    },
  },
  expressions: [],
  variables: [],
};

const parallel: Kind = {
  type: "parallel",
  isPure: true,
  isSupported: true,
  schema: { type: "object", properties: { input: inputOverride } },
  expressions: [],
  variables: [],
};

const loop: Kind = {
  type: "loop",
  // With a function it is not pure: see `isPureNode`.
  isPure: true,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      ...LOOP_PROPERTIES,
      function_name: { ...functionName, description: "What is done in each round." },
      params: { description: "Parameters of the function; templates are filled in." },
      input: inputOverride,
    },
  },
  expressions: [],
  variables: [],
};

const delay: Kind = {
  type: "delay",
  isPure: false,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      delay_ms: orTemplate(
        { type: "number", minimum: 0, maximum: DURATION_MS_MAX },
        `milliseconds from 0 ${UP_TO_MS}, or a template`,
        "How long.",
      ),
      duration: orTemplate(
        { type: "string", pattern: DURATION_PATTERN },
        "an ISO 8601 duration without months and years, such as PT1H30M, or a template",
        "How long, such as PT1H30M.",
      ),
      until: orTemplate(
        { type: "string", pattern: TIMESTAMP_PATTERN },
        "a timestamp with its zone, such as 2026-01-31T08:00:00Z, or a template",
        "Until when, such as 2026-01-31T08:00:00Z.",
      ),
      input: inputOverride,
    },
    oneOf: [{ required: ["delay_ms"] }, { required: ["duration"] }, { required: ["until"] }],
    "x-expect": "an object with one of `delay_ms`, `duration` and `until`",
  },
  expressions: [],
  variables: [],
  check: checkUntil,
};

/** A day that there is not would be taken for one of the next month. */
function checkUntil({ until }: JsonObject): ConfigProblem[] {
  if (typeof until !== "string" || /\$\{|\{\{/.test(until) || beginsWithDay(until)) return [];
  return [{ key: "until", message: `\`until\` is a day that its month does not have: ${until}` }];
}

export const FLOW_KINDS: readonly Kind[] = [conditional, parallel, loop, delay];
