/**
 * Names that other tools use for what has another name here: `source` is nowhere near `from`, so no
 * distance between words finds it.
 */
import { nearestName } from "../condition/suggest.ts";

const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  source: ["from"],
  target: ["to"],
  dependencies: ["edges"],
  depends_on: ["edges"],
  when: ["condition"],
  if: ["condition", "conditional"],
  expression: ["condition", "filter_expression"],
  time_out: ["timeout_ms"],
  timeout: ["timeout_ms"],
  timeout_seconds: ["timeout_ms"],
  retries: ["retry"],
  retry_policy: ["retry"],
  max_retries: ["retry", "max_attempts"],
  attempts: ["max_attempts"],
  backoff: ["backoff_ms"],
  kind: ["type"],
  name: ["id"],
  function: ["function_name"],
  handler: ["function_name"],
  next: ["next_nodes"],
  steps: ["nodes"],
  links: ["edges"],
  connections: ["edges"],
  failure: ["error"],
  failed: ["error"],
  catch: ["error"],
  finally: ["always"],
  done: ["success"],
  completed: ["success"],
  retires: ["retry"],
  sleep: ["delay"],
  timer: ["delay"],
  switch: ["conditional"],
  choice: ["conditional"],
  foreach: ["map"],
  for_each: ["map"],
  lambda: ["function"],
  script: ["function"],
  code: ["function"],
  rest: ["http"],
  webhook: ["http"],
  child: ["subworkflow"],
};

/** What `name` means here, among `known`; or the name of those that is spelt nearly so. */
export function findMeant(name: string, known: readonly string[]): string | undefined {
  const key = name.toLowerCase();
  const synonyms = Object.hasOwn(SYNONYMS, key) ? (SYNONYMS[key] ?? []) : [];
  return synonyms.find((candidate) => known.includes(candidate)) ?? nearestName(name, known);
}
