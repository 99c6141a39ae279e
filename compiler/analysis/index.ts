/** The analyses of compiled workflows; a face of its own, so that compiling loads none of it. */
export { findConditions } from "./condition-report.ts";
export type { ConditionFinding } from "./condition-report.ts";
export { findCriticalPath } from "./critical-path.ts";
export type { CriticalPath, Duration, Durations } from "./critical-path.ts";
export { exampleOf, explore } from "./explore.ts";
export type { ExampleStep, Exploration, ExploreOptions } from "./explore.ts";
export type { Finding } from "./findings.ts";
export { listPaths, walkPaths } from "./paths.ts";
export { prove } from "./proofs.ts";
export type { Proof } from "./proofs.ts";
export { analyseWorkflow } from "./report.ts";
export type { AnalyseOptions, GraphReport, WorkflowReport } from "./report.ts";
export { adjacencyOf, edgesOf } from "./structure.ts";
export { findDefects } from "./verify.ts";
