/** Shared types of the expression language; see index.ts for what it does. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * What expressions see. A name that is absent is an unknown variable at run time. `ctx` maps node
 * ids to `{output}`; a skipped node has no entry. A map that tolerates failures has `errors` too.
 */
export interface Vars {
  input?: Json;
  data?: Json;
  output?: Json;
  ctx?: { [node: string]: { output: Json; errors?: Json } };
  item?: Json;
  /** In `filter_expression`: the element; `index` is its position. */
  value?: Json;
  index?: number;
  iteration?: number;
  /** In `retry.condition`: {code, message, details}, and the attempt that failed. */
  error?: Json;
  attempt?: number;
  run?: { [key: string]: Json };
  secrets?: { [name: string]: string };
}

/** A reference that an expression makes, found without running it. Offsets into the source. */
export interface Reference {
  /** e.g. ["ctx", "fetch", "output", "id"]; stops at the first part that is not a constant. */
  path: string[];
  start: number;
  end: number;
  /** Inside `has(...)`, `?` access, or behind a `has` on the same node in `&&`, `||`, ternary. */
  guarded: boolean;
}

/** What is wrong with an expression, and where in its source (offsets, end exclusive). */
export interface ExpressionProblem {
  kind: "parse" | "type" | "limit" | "unsupported";
  message: string;
  /** A remedy, if one is known. */
  hint?: string;
  /** What to write at this place instead, if that is all there is to it. */
  fix?: string;
  start: number;
  end: number;
}

/** A problem inside a template; `pointer` is the JSON pointer of the string it is in. */
export type TemplateProblem = ExpressionProblem & { pointer: string };

/** A reference inside a template; the offsets are into the string that `pointer` names. */
export type TemplateReference = Reference & { pointer: string };

/** A compiled condition. Immutable and shared: the same source gives the same object. */
export interface Condition {
  readonly source: string;
  readonly references: readonly Reference[];
  /** Throws EvaluationError, also when the result is not exactly true or false. */
  test(vars: Vars): boolean;
}

/** A compiled expression. Immutable and shared: the same source gives the same object. */
export interface Expression {
  readonly source: string;
  readonly references: readonly Reference[];
  /** The value as JSON; it may share parts with `vars`: read only. Throws EvaluationError. */
  evaluate(vars: Vars): Json;
}

/** A compiled template: any JSON value whose strings may hold `${ CEL }`. */
export interface Template {
  readonly references: readonly TemplateReference[];
  /** No expression anywhere: `evaluate` gives the same value whatever the variables. */
  readonly isConstant: boolean;
  /** The filled-in value. It may share parts with `vars` and the template: do not change it. */
  evaluate(vars: Vars): Json;
}

/** What an expression may use at the place where it stands. */
export interface CheckScope {
  /** The top-level names, e.g. "input", "output", "ctx". */
  variables: ReadonlySet<string>;
}
