/**
 * The compiler: workflow files to the intermediate representation, or to diagnostics.
 *
 * The face of this module. Pure: no I/O, no clock.
 */
export { compile, readNative } from "./compile.ts";
export type { CompileOptions, CompileResult } from "./compile.ts";
export { PASSES } from "./passes/index.ts";
export type { PassNote } from "./passes/index.ts";
export { DIAGNOSTICS, formatDiagnostic } from "./diagnostics.ts";
export type { Diagnostic, DiagnosticCode, RelatedPlace, Severity } from "./diagnostics.ts";
export { writeNative } from "./dialects/convert.ts";
export type { Conversion } from "./dialects/convert.ts";
export { DIALECT_NAMES } from "./dialects/index.ts";
export type { Dialect, NativeDocument } from "./dialects/index.ts";
export { DOCUMENT_SCHEMA } from "./document-schema.ts";
export { canonicalJson, hashIr } from "./hash.ts";
export { assertIr, IR_VERSION } from "./ir.ts";
export type * from "./ir.ts";
export { DEFAULT_LIMITS } from "./limits.ts";
export type { Limits } from "./limits.ts";
export { formatOf } from "./source.ts";
export type { SourceFormat, WorkflowSource } from "./source.ts";
export { makeValidator } from "./user-validator.ts";
export type { UserValidator } from "./user-validator.ts";
