/**
 * The expression language: conditions of edges and loops, and templates in configuration.
 *
 * The face of this module; nothing outside imports the files behind it. The language is CEL with
 * JSON's numbers (see library.ts and adapt.ts for where it differs from the library underneath).
 *
 * Data go in and come out as plain JSON values. Keys such as `constructor` and `__proto__` are only
 * data; documents are neither converted nor copied to that end.
 */
export { compileCondition, compileExpression } from "./compile.ts";
export { compileTemplate, checkTemplate } from "./template.ts";
export { checkCondition, checkExpression } from "./check.ts";
export { decideEdges } from "./edges.ts";
export type { EdgeCandidate, EdgeMode } from "./edges.ts";
export { keptOutput, undecided, withoutOutput } from "./undecided.ts";
export { namedCondition } from "./named.ts";
export type { Test } from "./named.ts";
export { EvaluationError, ExpressionSyntaxError, TemplateSyntaxError } from "./errors.ts";
export { parseData, toData } from "./json.ts";
export { beginsWithDay } from "./time.ts";
export { rewriteLegacy } from "./legacy.ts";
export { scanTemplate } from "./scan.ts";
export { patternSteps } from "./pattern-size.ts";
export { schemaPatternProblem, schemaPatternsProblem } from "./pattern.ts";
export type {
  CheckScope,
  Condition,
  Expression,
  ExpressionProblem,
  Json,
  Reference,
  Template,
  TemplateProblem,
  TemplateReference,
  Vars,
} from "./types.ts";
export { atomsIn, describeWitness, partition } from "./partition.ts";
export type { Case, Partition, PartitionOptions, Truth, Witness } from "./partition.ts";
export { nameOf } from "./predicate.ts";
export type { Atom, Domain, Scalar, Subject } from "./predicate.ts";
