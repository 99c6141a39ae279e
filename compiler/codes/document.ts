/** GV1xxx: the document, before its meaning. */
import { error, warning } from "./code.ts";
import type { CodeSpec } from "./code.ts";

const RIGHT = `
name: greet
nodes:
  - { id: hello, type: noop }
`;

export const DOCUMENT_CODES = {
  GV1001: error({
    title: "not a text file",
    remedy: "give the workflow as UTF-8 text in JSON or YAML",
    meaning:
      "The file holds control characters or bytes that are not UTF-8. The place shown is " +
      "the first of them.",
    why:
      "Bytes that have no meaning as text would be replaced, and the workflow would not " +
      "be what its file says.",
    wrong: "name: greet\u0000\nnodes:\n  - { id: hello, type: noop }\n",
    right: RIGHT,
  }),
  GV1002: error({
    title: "empty file",
    remedy: "write at least a name and one node",
    meaning: "There is nothing in the file but blanks and comments.",
    why: "A run needs a node to begin with.",
    wrong: "# to be written\n",
    right: RIGHT,
  }),
  GV1003: error({
    title: "syntax error",
    remedy: "correct it here; what comes after it was not looked at",
    meaning:
      "The text is not JSON (a file ending in `.json`, or beginning with a brace) or not YAML 1.2.",
    why: "Nothing after the place can be read with certainty, so nothing else is reported either.",
    wrong: '{ "name": "greet", "nodes": [{ "id": "hello", "type": "noop" },] }\n',
    right: '{ "name": "greet", "nodes": [{ "id": "hello", "type": "noop" }] }\n',
  }),
  GV1004: error({
    title: "duplicate key",
    remedy: "keep one of the two: the other would be lost in silence",
    meaning: "One object gives the same key twice.",
    why: "Most readers keep the last value and drop the first, some the other way round.",
    wrong: `
name: greet
name: welcome
nodes:
  - { id: hello, type: noop }
`,
    right: RIGHT,
  }),
  GV1005: error({
    title: "not an object",
    remedy: "the document is an object with `nodes` and `edges`",
    meaning: "The file is a list, a string, a number, a boolean or null.",
    why: "A workflow has a name, nodes and edges, which only an object can hold.",
    wrong: "- { id: hello, type: noop }\n",
    right: RIGHT,
  }),
  GV1006: error({
    title: "document too large",
    remedy: "move data out of the workflow file, or raise the limit",
    meaning:
      "The text has more bytes than the limit `bytes` allows (1 MiB by default). It is " +
      "not looked into.",
    why: "A workflow travels to every worker that runs it; data belongs into the input or a store.",
    wrong: { text: RIGHT, limits: { bytes: 20 } },
    right: RIGHT,
  }),
  GV1007: error({
    title: "nested too deep",
    remedy: "flatten the structure, or raise the limit",
    meaning:
      "Lists and objects stand inside each other deeper than the limit `depth` allows (64 " +
      "by default).",
    why:
      "Readers of nested data need stack for each level; no workflow that people write " +
      "comes near.",
    wrong: { text: RIGHT, limits: { depth: 2 } },
    right: RIGHT,
  }),
  GV1008: error({
    title: "too many nodes or edges",
    remedy: "split the workflow, or raise the limit",
    meaning:
      "There are more nodes or edges than the limits `nodes` (10,000) and `edges` " +
      "(50,000) allow. Edges that loops and branches imply count.",
    why: "The compiled form is kept in the memory of every worker.",
    wrong: { text: RIGHT, limits: { nodes: 0 } },
    right: RIGHT,
  }),
  GV1009: error({
    title: "bad alias",
    remedy: "write the value out where the alias stands",
    meaning:
      "A YAML alias (`*name`) names no anchor before it, stands inside its own value, or " +
      "the aliases of the file together stand for more than 10,000 values. Or a merge key (`<<`) " +
      "stands before it, which YAML 1.2 does not have.",
    why:
      "An alias copies what it stands for. Aliases of aliases can stand for gigabytes in " +
      "a few lines. What a merge key brings would be missing.",
    wrong: `
name: greet
nodes:
  - { id: hello, type: function, config: { function_name: f }, retry: *standard }
`,
    right: `
name: greet
nodes:
  - { id: hello, type: function, config: { function_name: f }, retry: &standard { max_attempts: 3 } }
  - { id: bye, type: function, config: { function_name: f }, retry: *standard }
edges:
  - { from: hello, to: bye }
`,
  }),
  GV1010: error({
    title: "not a JSON value",
    remedy: "use strings, finite numbers, booleans, null, lists, objects",
    meaning:
      "YAML can say things that JSON cannot: `.nan`, `.inf`, binary data, keys that are lists. Both " +
      "can spell numbers that are too large to be one (`1e999`), and texts that no store keeps: with " +
      "U+0000, or with half of a surrogate pair.",
    why: "Everything in a workflow is passed on as JSON, and kept as text.",
    wrong: `
name: greet
nodes:
  - { id: hello, type: function, config: { function_name: f, limit: .inf } }
`,
    right: `
name: greet
nodes:
  - { id: hello, type: function, config: { function_name: f, limit: 1000000 } }
`,
  }),
  GV1011: error({
    title: "unknown property",
    remedy: "remove it, or correct its spelling",
    meaning: "An object of the format has a property that the format does not know at this place.",
    why: "A misspelt property would have no effect, and nobody would notice until it is missed.",
    wrong: `
name: greet
nodes:
  - { id: hello, type: noop, time_out: 5000 }
`,
    right: `
name: greet
nodes:
  - { id: hello, type: wait, config: { signal: go }, timeout_ms: 5000 }
`,
  }),
  GV1012: error({
    title: "missing property",
    remedy: "add the property",
    meaning: "An object lacks a property that it must have, such as a node its `type`.",
    why: "There is no sensible default for it.",
    wrong: `
name: greet
nodes:
  - { id: hello }
`,
    right: RIGHT,
  }),
  GV1013: error({
    title: "wrong value",
    remedy: "replace the value, or leave the property out to have its default",
    meaning:
      "A property has a value of the wrong type, outside its range, or not among the allowed ones.",
    why: "It would be replaced by a default that the author did not ask for.",
    wrong: `
name: greet
nodes:
  - { id: hello, type: wait, config: { signal: go }, timeout_ms: 5s }
`,
    right: `
name: greet
nodes:
  - { id: hello, type: wait, config: { signal: go }, timeout_ms: 5000 }
`,
  }),
  GV1014: error({
    title: "duplicate node id",
    remedy: "give every node an id of its own",
    meaning: "Two nodes have the same id.",
    why: "Edges and `ctx.<id>` could mean either.",
    wrong: `
name: greet
nodes:
  - { id: hello, type: noop }
  - { id: hello, type: delay, config: { delay_ms: 5 } }
`,
    right: `
name: greet
nodes:
  - { id: hello, type: noop }
  - { id: pause, type: delay, config: { delay_ms: 5 } }
edges:
  - { from: hello, to: pause }
`,
  }),
  GV1015: error({
    title: "input_schema is not a JSON Schema",
    remedy: "write a JSON Schema of draft 2020-12",
    meaning:
      "`input_schema` is no JSON Schema, refers to something that is not there, has a " +
      "`pattern` that cannot be matched in linear time (RE2: no look-around, no " +
      "back-references), patterns of more than 50,000 steps together (a repeat `{1000}` is a " +
      "thousand), more than 5,000 values, or references that apply more than 10,000 " +
      "schemas to one value, or the same one for ever. `$ref` names a schema of the same document " +
      "(`#/$defs/…`, `#anchor`); `$async`, `$dynamicRef` and an `$id` of a part are not taken.",
    why:
      "Every submission is checked against it, in the supervisor: it has to be usable, " +
      "and quick for any input.",
    wrong: `
name: greet
input_schema: { type: text }
nodes:
  - { id: hello, type: noop }
`,
    right: `
name: greet
input_schema: { type: string }
nodes:
  - { id: hello, type: noop }
`,
  }),
  GV1016: error({
    title: "contradicting properties",
    remedy: "keep one of the two",
    meaning: "The same thing is said twice, in two spellings, with two different values.",
    why: "Either could be meant.",
    wrong: `
name: greet
metadata: { name: welcome }
nodes:
  - { id: hello, type: noop }
`,
    right: `
metadata: { name: welcome }
nodes:
  - { id: hello, type: noop }
`,
  }),
  GV1017: warning({
    title: "no name",
    remedy: "give the workflow a name under metadata.name",
    meaning: "Neither `metadata.name` nor `name` is given; the workflow is called `unnamed`.",
    why: "Runs are listed, and workflows found again, by their name.",
    wrong: `
nodes:
  - { id: hello, type: noop }
`,
    right: RIGHT,
  }),
  GV1018: warning({
    title: "unknown property in metadata",
    remedy: "remove it, or correct its spelling",
    meaning:
      "`metadata` holds `name`, `version`, `description` and `tags`; anything else is ignored.",
    why:
      "Files of other origin carry more there, so it is no error; a misspelt `version` " +
      "would be missed.",
    wrong: `
metadata: { name: greet, versoin: "1.0" }
nodes:
  - { id: hello, type: noop }
`,
    right: `
metadata: { name: greet, version: "1.0" }
nodes:
  - { id: hello, type: noop }
`,
  }),
} as const satisfies Record<string, CodeSpec>;
