/** Kinds whose token is parked until somebody resumes it: `wait`, `human`. */
import { inputOverride, nonEmptyText, orTemplate } from "./kind.ts";
import type { ConfigProblem, JsonObject, Kind } from "./kind.ts";

const jsonSchema = { type: ["object", "boolean"], "x-expect": "a JSON Schema" } as const;

/** More than anybody counts, and less than a column holds. */
const APPROVALS_MAX = 1_000_000;

const wait: Kind = {
  type: "wait",
  isPure: false,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      signal: {
        description: "Name of the signal that is waited for.",
        type: "string",
        pattern: "^[A-Za-z0-9_.:/-]+$",
        maxLength: 200,
        "x-expect": "the name of a signal (letters, digits and `_ . : / -`)",
      },
      schema: { ...jsonSchema, description: "JSON Schema of what the signal brings." },
      input: inputOverride,
    },
    required: ["signal"],
  },
  expressions: [],
  variables: [],
  literals: ["signal", "schema"],
  schemas: ["schema"],
};

const human: Kind = {
  type: "human",
  isPure: false,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      title: { ...nonEmptyText, description: "What is to be decided." },
      description: { type: "string", description: "More about it, for whoever decides." },
      assignees: orTemplate(
        { type: "array", items: nonEmptyText },
        "a list of names",
        "Who may decide.",
      ),
      form: { ...jsonSchema, description: "JSON Schema of what is asked for." },
      required: {
        description: "Approvals that are needed.",
        type: "integer",
        minimum: 1,
        maximum: APPROVALS_MAX,
        "x-expect": `an integer from 1 to ${APPROVALS_MAX}`,
      },
      input: inputOverride,
    },
  },
  expressions: [],
  variables: [],
  literals: ["form"],
  schemas: ["form"],
  check: tooFewAssignees,
};

/** Approvals that nobody could give are waited for until they expire. */
function tooFewAssignees(config: JsonObject): ConfigProblem[] {
  const { assignees, required } = config;
  if (!Array.isArray(assignees) || typeof required !== "number") return [];
  // A template may give any name, once more than a list.
  if (assignees.some((name) => typeof name === "string" && name.includes("${"))) return [];
  const people = new Set(assignees).size;
  if (people === 0 || people >= required) return [];
  const message = `${required} approvals are required, but only ${people} may give one`;
  return [{ key: "required", message }];
}

export const PARKED_KINDS: readonly Kind[] = [wait, human];
