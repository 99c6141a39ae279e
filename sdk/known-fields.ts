/**
 * What the steps of a straight chain have read of their run and left there, and what cannot be another
 * by now: the run's input and attempt, and what has completed outside of rounds. A step to come need
 * not read it (run-data.ts).
 */
import { parseRecord } from "./entry.ts";
import { ATTEMPT_FIELD } from "./needs.ts";

/** What a step left, as the item that settles it says. */
export interface StepResult {
  node: number;
  scope: string;
  attempt: number;
  op: string;
  /** JSON text. */
  value: string;
}

/** A field of the run hash, and those known before it. */
export interface Known {
  field: string;
  value: string | null;
  before: Known | null;
}

/** Longer outputs are read again, and where a step reads so many: a chain would hold all of them. */
const CHARS_MAX = 4096;
const FIELDS_MAX = 64;

/** The field's value; undefined: it is not known. */
export function earlier(known: Known | null, field: string): string | null | undefined {
  let at = known;
  while (at !== null && at.field !== field) {
    at = at.before;
  }
  return at?.value;
}

/** What is known behind a step that has read these fields and left these results. */
export function knownAfter(
  before: Known | null,
  fields: ReadonlyMap<string, string | null>,
  results: readonly StepResult[],
): Known | null {
  let known = before;
  for (const [field, value] of fields.size > FIELDS_MAX ? [] : fields) {
    if (isLasting(field, value) && earlier(known, field) === undefined) {
      known = { field, value, before: known };
    }
  }
  for (const { node, op, attempt, scope, value } of results) {
    if (op === "C" && value.length <= CHARS_MAX) {
      known = { field: `n${node}`, value: `c${attempt}|${scope}|${value}`, before: known };
    }
  }
  return known;
}

function isLasting(field: string, value: string | null): boolean {
  if (field === "in" || field === ATTEMPT_FIELD) {
    return true;
  }
  return (value?.length ?? Infinity) <= CHARS_MAX && parseRecord(value)?.state === "c";
}
