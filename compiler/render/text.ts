/**
 * A workflow in a terminal: every node once, in topological order, with where it leads. No attempt
 * to draw lines across the screen: a list can be searched, copied and read aloud.
 */
import { subtitleOf } from "./picture.ts";
import type { Picture, PictureEdge, PictureNode } from "./picture.ts";

const SIGNS: { [shape in PictureNode["shape"]]: string } = {
  step: "●",
  branch: "◆",
  parallel: "○",
  wait: "◷",
  group: "▣",
};
const MARKS = { added: "+", removed: "-", changed: "~" } as const;

/** The picture as lines of text. A `*` stands at nodes and edges of the critical path. */
export function renderText(picture: Picture): string {
  const lines = [picture.title, ""];
  for (const node of picture.nodes.filter(({ group }) => group === null)) {
    lines.push(...nodeLines(picture, node, ""));
  }
  return `${lines.join("\n")}\n`;
}

function nodeLines(picture: Picture, node: PictureNode, indent: string): string[] {
  const mark = node.mark === undefined ? "" : `${MARKS[node.mark]} `;
  const star = node.isCritical ? " *" : "";
  const place = node.isEntry ? " (entry)" : "";
  const lines = [
    `${indent}${mark}${SIGNS[node.shape]} ${node.id} [${subtitleOf(node)}]${place}${star}`,
  ];
  const body = picture.nodes.filter(({ group }) => group === node.id);
  for (const inner of body) lines.push(...nodeLines(picture, inner, `${indent}│  `));
  const out = picture.edges.filter((e) => e.from === node.id && e.kind !== "body");
  out.forEach((edge, i) => {
    const corner = i === out.length - 1 ? "└" : "├";
    lines.push(`${indent}${mark === "" ? "" : "  "}${corner}${edgeText(edge)}`);
  });
  return lines;
}

function edgeText(edge: PictureEdge): string {
  const mark = edge.mark === undefined ? "" : ` ${MARKS[edge.mark]}`;
  const arrow = edge.kind === "loop" ? "↺" : "▶";
  const label = edge.label === "" ? "" : `[${edge.label}]─`;
  return `─${label}${arrow} ${edge.to}${edge.isCritical ? " *" : ""}${mark}`;
}
