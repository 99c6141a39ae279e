/** Graphviz. */
import { shorten, subtitleOf } from "./picture.ts";
import type { Picture, PictureEdge, PictureNode } from "./picture.ts";

const LABEL_MAX = 60;
const SHAPES: { [shape in PictureNode["shape"]]: string } = {
  step: "box",
  branch: "diamond",
  parallel: "oval",
  wait: "parallelogram",
  group: "box3d",
};
const STYLES: { [kind in PictureEdge["kind"]]: string } = {
  flow: "solid",
  failure: "dashed",
  loop: "dashed",
  body: "dotted",
};
const COLORS: { [key: string]: string | undefined } = {
  added: "#1a7f37",
  removed: "#cf222e",
  changed: "#9a6700",
  completed: "#1a7f37",
  failed: "#cf222e",
  running: "#0969da",
  ready: "#0969da",
  waiting: "#8250df",
  retrying: "#bc4c00",
  skipped: "#8c959f",
  cancelled: "#8c959f",
};

/** The picture in the dot language. */
export function renderDot(picture: Picture): string {
  const lines = [
    `digraph ${quote(picture.title)} {`,
    '  rankdir=TB; node [fontname="sans-serif" style="rounded"];',
    '  edge [fontname="sans-serif" fontsize=10];',
  ];
  for (const node of picture.nodes.filter(({ group }) => group === null)) {
    lines.push(...nodeLines(picture, node, "  "));
  }
  for (const edge of picture.edges) {
    const color = COLORS[edge.mark ?? ""] ?? (edge.kind === "failure" ? "#cf222e" : undefined);
    const options = [
      `style=${STYLES[edge.kind]}`,
      ...(edge.label === "" ? [] : [`label=${quote(shorten(edge.label, LABEL_MAX))}`]),
      ...(edge.isCritical ? ["penwidth=2.5"] : []),
      ...(edge.kind === "loop" ? ["constraint=false"] : []),
      ...(color === undefined ? [] : [`color=${quote(color)}`]),
    ];
    lines.push(`  ${quote(edge.from)} -> ${quote(edge.to)} [${options.join(" ")}];`);
  }
  return `${lines.join("\n")}\n}\n`;
}

function nodeLines(picture: Picture, node: PictureNode, indent: string): string[] {
  const color = COLORS[node.mark ?? node.state?.status ?? ""];
  const options = [
    `label=${quote(`${node.id}\n${subtitleOf(node)}`)}`,
    `shape=${SHAPES[node.shape]}`,
    ...(node.isCritical || color !== undefined ? ["penwidth=2.5"] : []),
    ...(color === undefined ? [] : [`color=${quote(color)}`]),
  ];
  const lines = [`${indent}${quote(node.id)} [${options.join(" ")}];`];
  const body = picture.nodes.filter(({ group }) => group === node.id);
  if (body.length > 0) {
    lines.push(`${indent}subgraph ${quote(`cluster_${node.id}`)} {`);
    lines.push(`${indent}  label=${quote(`${node.id}: each item`)}; style="rounded,dashed";`);
    for (const inner of body) lines.push(...nodeLines(picture, inner, `${indent}  `));
    lines.push(`${indent}}`);
  }
  return lines;
}

function quote(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `"${escaped}"`;
}
