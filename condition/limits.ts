/** The bounds of the expression language: one place, each with its unit and its reason. */

/** UTF-16 units of source text. Longer conditions belong into a node. */
export const SOURCE_LENGTH_MAX = 4096;

/** Nodes of a syntax tree; also bounds the recursion over chains such as `a && b && …`. */
export const AST_NODES_MAX = 2000;

/** Nesting of brackets, calls and field selections. */
export const DEPTH_MAX = 64;

/** Elements of a list that is written out; the same of entries of a map. */
export const LITERAL_ELEMENTS_MAX = 1000;

/** Arguments of one call. */
export const ARGUMENTS_MAX = 32;

/** Macros (`all`, `exists`, `map`, …) inside each other's bodies. */
export const MACRO_DEPTH_MAX = 2;

/**
 * Units of work of one evaluation. One unit is one evaluation of a macro body; operations whose
 * cost grows with the data (concatenation, search, patterns) pay by the sizes below.
 */
export const WORK_UNITS_MAX = 50_000;

/** List elements that one unit of work copies or compares. */
export const ELEMENTS_PER_UNIT = 256;

/** Keys that one unit of work counts: a large object has to gather them each time. */
export const KEYS_PER_UNIT = 16;

/** Characters that one unit of work copies. */
export const CHARACTERS_PER_UNIT = 1024;

/** Characters that one unit of work matches against a pattern (RE2 is linear but not fast). */
export const MATCHED_CHARACTERS_PER_UNIT = 16;

/** UTF-16 units of a pattern that is computed at run time or written in the source. */
export const PATTERN_LENGTH_MAX = 1024;

/** Steps of the machine that matches a pattern, repeats written out: some hundred bytes each. */
export const PATTERN_STEPS_MAX = 10_000;

/** Of all patterns of a JSON Schema together. */
export const SCHEMA_PATTERN_STEPS_MAX = 50_000;

/** Compiled patterns that are kept. */
export const PATTERN_CACHE_MAX = 256;

/** Compiled conditions and expressions that are kept, each. */
export const COMPILED_CACHE_MAX = 1000;

/** Check environments (sets of variable names) that are kept. */
export const SCOPE_CACHE_MAX = 32;

/**
 * Values and characters of a result. `output.list.map(x, output)` holds the same data many times:
 * cheap in memory, but not once it is written as JSON. Each takes a byte there at least, so nothing
 * that may be kept as an output (16 MiB) is over it.
 */
export const RESULT_SIZE_MAX = 16 * 1024 * 1024;

/** Numbers that one `range` gives. */
export const RANGE_MAX = 1000;
