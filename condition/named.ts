/**
 * A condition that says which one it is when it cannot be evaluated: a node may have many, and "no
 * such field" of one of them is no help. Made once for each edge or loop, so a test costs no more.
 */
import { compileCondition } from "./compile.ts";
import { EvaluationError } from "./errors.ts";
import type { Vars } from "./types.ts";

/** What deciding needs of a condition. */
export interface Test {
  /** Throws EvaluationError. */
  test(vars: Vars): boolean;
}

/** Characters of a condition that a message has. */
const SHOWN_MAX = 120;

/** The condition, as `name (condition …): ` in front of what is wrong. Throws as compileCondition. */
export function namedCondition(source: string, name: string): Test {
  const condition = compileCondition(source);
  return {
    test: (vars) => {
      try {
        return condition.test(vars);
      } catch (error) {
        if (!(error instanceof EvaluationError)) throw error;
        const text = source.length > SHOWN_MAX ? `${source.slice(0, SHOWN_MAX)}…` : source;
        const message = `${name} (condition ${text}): ${error.message}`;
        throw new EvaluationError(message, source);
      }
    },
  };
}
