/**
 * The second face of this module: how diagnostics are shown and explained, and the schema of the
 * format. Apart from the first, so that a valid file loads none of it.
 */
export { explainCode, findCode, listCodes } from "./explain.ts";
export { renderDiagnostics, summarise } from "./diagnostics-render.ts";
export type { RenderOptions } from "./diagnostics-render.ts";
export { toSarif } from "./diagnostics-sarif.ts";
export type { SarifFile } from "./diagnostics-sarif.ts";
export { SideFile } from "./side-file.ts";
export type { SideProblem } from "./side-file.ts";
export {
  publishedConfigSchema,
  publishedKinds,
  publishedSchema,
  withoutOurKeywords,
} from "./published-schema.ts";
