/** Mermaid flowcharts: what code hosts and wikis draw by themselves. */
import { shorten, subtitleOf } from "./picture.ts";
import type { Picture, PictureEdge, PictureNode } from "./picture.ts";

const LABEL_MAX = 60;
const ARROWS: { [kind in PictureEdge["kind"]]: string } = {
  flow: "-->",
  failure: "-.->",
  loop: "-.->",
  body: "-.->",
};

/** The picture as mermaid source. */
export function renderMermaid(picture: Picture): string {
  // Mermaid gives words such as `end` a meaning; numbers are safe whatever an id is.
  const names = new Map(picture.nodes.map((node, i) => [node.id, `n${i}`]));
  const name = (id: string): string => names.get(id) ?? "n";
  const lines = ["---", `title: ${JSON.stringify(picture.title)}`, "---", "flowchart TD"];
  for (const node of picture.nodes.filter(({ group }) => group === null)) {
    lines.push(...nodeLines(picture, node, name, "  "));
  }
  for (const edge of picture.edges) {
    const label = edge.label === "" ? "" : `|"${escape(shorten(edge.label, LABEL_MAX))}"|`;
    const arrow = edge.isCritical && edge.kind === "flow" ? "==>" : ARROWS[edge.kind];
    lines.push(`  ${name(edge.from)} ${arrow}${label} ${name(edge.to)}`);
  }
  lines.push(...classLines(picture, name));
  return `${lines.join("\n")}\n`;
}

function nodeLines(
  picture: Picture,
  node: PictureNode,
  name: (id: string) => string,
  indent: string,
): string[] {
  const text = `"${escape(node.id)}<br/><small>${escape(subtitleOf(node))}</small>"`;
  const shapes: { [shape in PictureNode["shape"]]: [string, string] } = {
    step: ["[", "]"],
    branch: ["{", "}"],
    parallel: ["([", "])"],
    wait: ["[/", "/]"],
    group: ["[[", "]]"],
  };
  const [open, close] = shapes[node.shape];
  const lines = [`${indent}${name(node.id)}${open}${text}${close}`];
  const body = picture.nodes.filter(({ group }) => group === node.id);
  if (body.length > 0) {
    lines.push(`${indent}subgraph g${name(node.id)}["${escape(node.id)}: each item"]`);
    for (const inner of body) lines.push(...nodeLines(picture, inner, name, `${indent}  `));
    lines.push(`${indent}end`);
  }
  return lines;
}

/** Marks and states as classes, so that a theme may change them. */
function classLines(picture: Picture, name: (id: string) => string): string[] {
  const byClass = new Map<string, string[]>();
  for (const node of picture.nodes) {
    const key = node.mark ?? node.state?.status ?? (node.isCritical ? "critical" : "");
    if (key !== "") byClass.set(key, [...(byClass.get(key) ?? []), name(node.id)]);
  }
  const lines = [...byClass.keys()].flatMap((key) => {
    const style = STYLES[key];
    return style === undefined ? [] : [`  classDef ${key} ${style}`];
  });
  for (const [key, ids] of byClass) {
    if (STYLES[key] !== undefined) lines.push(`  class ${ids.join(",")} ${key}`);
  }
  return lines;
}

const STYLES: { [key: string]: string | undefined } = {
  critical: "stroke-width:3px",
  added: "stroke:#1a7f37,stroke-width:3px",
  removed: "stroke:#cf222e,stroke-width:3px,stroke-dasharray:4 3",
  changed: "stroke:#9a6700,stroke-width:3px",
  completed: "stroke:#1a7f37,stroke-width:2px",
  failed: "stroke:#cf222e,stroke-width:3px",
  running: "stroke:#0969da,stroke-width:3px",
  ready: "stroke:#0969da,stroke-width:2px",
  waiting: "stroke:#8250df,stroke-width:2px",
  retrying: "stroke:#bc4c00,stroke-width:2px",
  skipped: "stroke-dasharray:3 3,opacity:0.6",
  cancelled: "stroke-dasharray:3 3,opacity:0.6",
};

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll('"', "&quot;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
