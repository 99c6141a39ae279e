/** GV5xxx: what a file of another dialect says that has no equal here. */
import { error, warning } from "./code.ts";
import type { CodeSpec } from "./code.ts";

export const DIALECT_CODES = {
  GV5001: error({
    title: "not supported of this dialect",
    remedy: "write it in another way: the message names the part",
    meaning:
      "The file uses a part of its dialect that this compiler cannot express. " +
      "[dialects.md](dialects.md) lists what can be.",
    why: "Left out, the workflow would do something else than its author wrote.",
    wrong: `
{ "StartAt": "Roll", "States": {
  "Roll": { "Type": "Pass", "Parameters": { "n.$": "States.MathRandom(1, 6)" }, "End": true } } }
`,
    right: `
{ "name": "greet", "steps": [{ "id": "hello", "type": "noop" }] }
`,
  }),
  GV5002: warning({
    title: "no equal here",
    remedy: "say it elsewhere, or remove it",
    meaning:
      "The file says something that has no place in a workflow here, and that the steps " +
      "do not depend on. It is left out.",
    why: "Nothing is left out in silence: its author may count on it.",
    wrong: `
name: greet
triggers: [{ type: webhook }]
states:
  - { id: hello, type: noop }
`,
    right: `
name: greet
states:
  - { id: hello, type: noop }
`,
  }),
  GV5003: error({
    title: "refers to what is not there",
    remedy: "name something that exists, or remove the reference",
    meaning:
      "A `config_ref` without its config, `prev` in the first step, or a file that is not " +
      "in the dialect that was named.",
    why: "There is nothing that could be put in its place.",
    wrong: `
name: greet
nodes:
  - { id: hello, type: noop, config_ref: greeting }
`,
    right: `
name: greet
steps:
  - { id: hello, type: noop }
`,
  }),
  GV5004: error({
    title: "cycle that is no loop",
    remedy: "give it a bound and one entry",
    meaning:
      "States lead back to an earlier one without a bound, or the cycle can be entered at " +
      "several of its states.",
    why: "A run must end; and only a loop with one entry can tell one round from the next.",
    wrong: `
{ "StartAt": "Ask", "States": {
  "Ask": { "Type": "Task", "Resource": "ask", "Next": "Done" },
  "Done": { "Type": "Choice", "Default": "Ask", "Choices": [
    { "Variable": "$.done", "BooleanEquals": true, "Next": "End" }] },
  "End": { "Type": "Succeed" } } }
`,
    right: `
name: poll
nodes:
  - id: ask
    type: loop
    config: { function_name: ask, condition: "!output.done", max_iterations: 20 }
`,
  }),
} as const satisfies Record<string, CodeSpec>;
