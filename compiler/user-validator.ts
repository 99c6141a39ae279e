/**
 * The validator of a JSON Schema that an author wrote.
 *
 * The compiler makes it to see that it can be made, and whoever has data makes it by the same function:
 * what `validate` accepts is what can be used. Schemas and data are strangers': patterns are matched in
 * linear time, one check has a budget, and whatever comes of it is an answer, never an exception.
 */
import type { Ajv2020, AnySchema, ErrorObject, ValidateFunction } from "ajv/dist/2020.js";
import { ajvLibrary, newAjv } from "./ajv.ts";
import type { Json } from "./ir.ts";
import {
  addPayingKeywords,
  Budget,
  CHECK_LOOKS_MAX,
  payingPatterns,
  TooManyLooks,
  withLooks,
} from "./schema-budget.ts";

/** Saying all that is wrong looks further than saying that something is, and keeps what it finds. */
const EXPLAIN_LOOKS_MAX = 100_000;
/** Of a schema, as JSON: some hundred keywords, one after another. */
const SHORT_CHARACTERS_MAX = 4000;

export interface DataProblem {
  /** Where in the value, as a pointer; "" is the whole. */
  path: string;
  message: string;
}

/** What is wrong with a value; empty if it fits. `looksMax`: what it may cost. Never throws. */
export type UserValidator = (value: Json, looksMax?: number) => DataProblem[];

/** Message of the one problem of a value that costs more. */
export const TAKES_TOO_LONG =
  "takes too long to check: its schema looks at it too often, or too much is wrong";

/** A validator, or why there is none. */
export function makeValidator(schema: Json): UserValidator | string {
  try {
    const wrong = metaProblem(schema);
    if (wrong !== null) return `it is no JSON Schema: ${wrong.path || "it"} ${wrong.message}`;
    const budget = new Budget();
    const paying = withLooks(schema);
    // One that stops at the first thing wrong looks least, by far where alternatives are inside one
    // another; but its code is as deep as the schema is long.
    const isShort = JSON.stringify(schema).length <= SHORT_CHARACTERS_MAX;
    const fits = compileOne(paying, budget, !isShort);
    let explain = isShort ? undefined : fits;
    return (value, looksMax = CHECK_LOOKS_MAX) => {
      const first = check(fits, value, budget, looksMax);
      // A misfit is rare, and so are two validators of one schema.
      if (explain === fits || first[0]?.keyword === undefined) return first.map(problemOf);
      explain ??= compileOne(paying, budget, true);
      const all = check(explain, value, budget, EXPLAIN_LOOKS_MAX);
      return (all[0]?.keyword === undefined ? first : all).map(problemOf);
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What the meta-schema says of a schema; null: it is one. */
export function metaProblem(schema: Json): DataProblem | null {
  meta ??= newAjv({ strict: false, validateFormats: false, logger: false });
  if (meta.validateSchema(schema as AnySchema) === true) return null;
  const [first] = meta.errors ?? [];
  return { path: first?.instancePath ?? "", message: first?.message ?? "is wrong" };
}

/** Making it takes longer than most schemas: one serves all. It keeps none of them. */
let meta: Ajv2020 | undefined;

type Problem = Partial<ErrorObject>;

function problemOf({ instancePath = "", message = "does not fit" }: Problem): DataProblem {
  return { path: instancePath, message };
}

/** An instance of its own: a user's `$id` must neither clash with another's nor stay in memory. */
function compileOne(schema: Json, budget: Budget, allErrors: boolean): ValidateFunction {
  const refersOut = JSON.stringify(schema).includes('"$ref":"http');
  const ajv = newAjv({
    ...{ strict: false, allErrors, validateSchema: false, logger: false, meta: refersOut },
    // Else a schema is written out wherever it is referred to: sixty times sixty properties take
    // seconds, and what a schema of the allowed size can say takes hours.
    inlineRefs: false,
    code: { regExp: payingPatterns(budget) as never },
  });
  ajvLibrary().addFormats(ajv);
  addPayingKeywords(ajv, budget);
  return ajv.compile(schema as AnySchema);
}

function check(
  validate: ValidateFunction,
  value: Json,
  budget: Budget,
  looksMax: number,
): Problem[] {
  budget.reset(looksMax);
  try {
    // Only `true` is: a validator that answers later has said nothing yet.
    const fits: unknown = validate(value);
    if (fits === true) return [];
  } catch (error) {
    if (error instanceof TooManyLooks) {
      return [{ message: TAKES_TOO_LONG }];
    }
    return [{ message: "is nested too deeply" }];
  }
  const found = validate.errors ?? [];
  return found.length > 0 ? found : [{}];
}
