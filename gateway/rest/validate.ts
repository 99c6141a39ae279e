/**
 * The check of a request by the schema that the OpenAPI document shows: so what is written there is
 * what is taken.
 *
 * All that is wrong is told at once, but of a small body only: a list of a million wrong members would
 * become a million messages. Of a large one the first is told. Query and path come as text, so there a
 * text that spells a number is one; in a body it is not.
 */
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { GavotteError } from "../../sdk/internal.ts";
import type { Problem } from "../errors.ts";

const ALL_TOLD_CHARS_MAX = 16_384;
const PROBLEMS_MAX = 20;
/** `required` stands in alternatives, apart from the properties that it names. */
const OPTIONS = {
  ...{ strict: true, strictRequired: false, strictTypes: false },
  validateFormats: false,
} as const;

/** What a validator of fastify says: nothing, or why not. */
type Verdict = { value: unknown } | { error: Error };

/** Compiles the schema of one part of a request; `part` is "body", "querystring" or "params". */
export function compileValidator(schema: object, part: string): (value: unknown) => Verdict {
  const coerceTypes = part !== "body";
  const quick = new Ajv2020({ ...OPTIONS, coerceTypes }).compile(schema);
  let thorough: ValidateFunction | null = null;
  return (value) => {
    if (quick(value)) {
      return { value };
    }
    let found = quick.errors ?? [];
    if (isSmall(value)) {
      thorough ??= new Ajv2020({ ...OPTIONS, coerceTypes, allErrors: true }).compile(schema);
      thorough(value);
      found = thorough.errors ?? found;
    }
    return { error: refused(found, part === "body" ? "the body" : "the address") };
  };
}

function isSmall(value: unknown): boolean {
  try {
    return ((JSON.stringify(value) as string | undefined) ?? "").length <= ALL_TOLD_CHARS_MAX;
  } catch {
    return false; // nested too deeply to be written again
  }
}

function refused(found: readonly ErrorObject[], where: string): GavotteError {
  const problems = found.filter(isOwn).slice(0, PROBLEMS_MAX).map(problemOf);
  const lines = problems.map(({ message }) => message).join("; ");
  const message = `${where} is not as it has to be: ${lines}`;
  return new GavotteError("GV_BAD_INPUT", message, { details: { errors: problems } });
}

/** Of alternatives none of which holds, what each lacks says nothing to whoever meant another. */
function isOwn({ schemaPath }: ErrorObject): boolean {
  return !/\/oneOf\/\d/.test(schemaPath);
}

function problemOf(error: ErrorObject): Problem {
  const at = error.instancePath.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");
  const named = (error.params as { additionalProperty?: string }).additionalProperty;
  const path = named === undefined ? at : at === "" ? named : `${at}/${named}`;
  return {
    code: "GV_BAD_INPUT",
    message: messageOf(error, path),
    ...(path === "" ? {} : { path }),
  };
}

function messageOf({ keyword, params, message = "is wrong" }: ErrorObject, path: string): string {
  const subject = path === "" ? "it" : path;
  switch (keyword) {
    case "additionalProperties":
      return `${subject} is not known here; leave it out`;
    case "oneOf":
      return "give exactly one of workflow, workflow_ref and hash";
    case "enum": {
      const { allowedValues } = params as { allowedValues: unknown[] };
      return `${subject} must be one of ${allowedValues.join(", ")}`;
    }
    default:
      return `${subject} ${message}`;
  }
}
