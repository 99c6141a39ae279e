/** Pictures and differences of workflows; loaded by the commands that show them, and by nobody else. */
export { diffLines, diffPicture, diffWorkflows } from "./diff.ts";
export type { EdgeChange, EdgeName, FieldChange, WorkflowDiff } from "./diff.ts";
export { renderDot } from "./dot.ts";
export { renderMermaid } from "./mermaid.ts";
export { durationText, pictureOf } from "./picture.ts";
export type { NodeState, Picture, PictureOptions } from "./picture.ts";
export { renderSvg } from "./svg.ts";
export { renderText } from "./text.ts";
