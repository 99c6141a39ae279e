/**
 * Does data from outside (a run's input, a signal's payload, an approval's form) fit its JSON Schema?
 * Asked where it comes in, so that the sender is told, and again by whoever uses it.
 *
 * The validator is made by the function that the compiler has tried (compiler/user-validator.ts), and
 * its library is loaded with the first schema: most processes never meet one, and it is a hundred files.
 */
import type { Json } from "../compiler/ir.ts";
import { makeValidator, TAKES_TOO_LONG } from "../compiler/user-validator.ts";
import type { DataProblem, UserValidator } from "../compiler/user-validator.ts";

const COMPILED_MAX = 500;
const PROBLEMS_MAX = 5;
const compiled = new Map<string, UserValidator | string>();

export { makeValidator, TAKES_TOO_LONG, type DataProblem, type UserValidator };

/** What is wrong with `value`, in one line; null if it fits, or if there is no schema. */
export function misfit(schema: Json | undefined, value: Json): string | null {
  if (schema === undefined || schema === null) {
    return null;
  }
  const text = JSON.stringify(schema);
  let validate = compiled.get(text);
  if (validate === undefined) {
    if (compiled.size >= COMPILED_MAX) {
      compiled.clear();
    }
    validate = makeValidator(schema);
    compiled.set(text, validate);
  }
  if (typeof validate === "string") {
    return `its schema cannot be used: ${validate}`;
  }
  const problems = validate(value).slice(0, PROBLEMS_MAX);
  const lines = problems.map(({ path, message }) => `${path || "it"} ${message}`);
  return lines.length === 0 ? null : lines.join("; ");
}
