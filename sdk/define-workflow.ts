/**
 * Workflows written in TypeScript: the editor completes what the format knows, and the compiler of
 * the language refuses what it does not. What is said in a file is said here in the same words.
 */
import type { WorkflowFile } from "../compiler/workflow-file.gen.ts";

export type { WorkflowFile, WorkflowNode } from "../compiler/workflow-file.gen.ts";

/** One edge of a workflow. */
export type WorkflowEdge = NonNullable<WorkflowFile["edges"]>[number];

/**
 * A workflow as it is given, with its type checked. Conditions, templates and the graph itself are
 * judged when it is submitted, or by `gavotte validate` of its JSON.
 */
export function defineWorkflow(workflow: WorkflowFile): WorkflowFile {
  return workflow;
}
