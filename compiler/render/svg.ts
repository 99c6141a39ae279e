/**
 * A picture as one self-contained SVG: colours follow the reader's light or dark setting, text
 * stays text, nothing is loaded from anywhere.
 */
import { BRANCH_SLANT, layOut, WAIT_SLANT } from "./layout.ts";
import type { Box, Layout, Point } from "./layout.ts";
import { shorten, subtitleOf } from "./picture.ts";
import type { Picture, PictureNode } from "./picture.ts";

const STYLE = `
:root { --bg:#ffffff; --card:#f6f8fa; --line:#57606a; --ink:#1f2328; --soft:#656d76;
  --hot:#0969da; --good:#1a7f37; --bad:#cf222e; --warn:#9a6700; --wait:#8250df; --rule:#d0d7de; }
@media (prefers-color-scheme: dark) { :root { --bg:#0d1117; --card:#161b22; --line:#8b949e;
  --ink:#e6edf3; --soft:#8b949e; --hot:#58a6ff; --good:#3fb950; --bad:#f85149; --warn:#d29922;
  --wait:#bc8cff; --rule:#30363d; } }
text { font-family: ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
  fill: var(--ink); }
.bg { fill: var(--bg); }
.node { fill: var(--card); stroke: var(--line); stroke-width: 1.3; }
.id { font-size: 14px; font-weight: 600; } .sub { font-size: 11px; fill: var(--soft); }
.group { fill: none; stroke: var(--rule); stroke-width: 1.3; stroke-dasharray: 5 4; }
.edge { fill: none; stroke: var(--line); stroke-width: 1.3; }
.tip { fill: var(--line); } .label { font-size: 11px; fill: var(--soft); }
.plate { fill: var(--bg); opacity: 0.92; }
.failure .edge { stroke: var(--bad); stroke-dasharray: 5 3; } .failure .tip { fill: var(--bad); }
.loop .edge { stroke: var(--wait); stroke-dasharray: 6 4; } .loop .tip { fill: var(--wait); }
.body .edge { stroke-dasharray: 2 4; }
.critical .edge { stroke: var(--hot); stroke-width: 2.4; } .critical .tip { fill: var(--hot); }
.critical .node { stroke: var(--hot); stroke-width: 2; }
.added .node, .added .edge { stroke: var(--good); stroke-width: 2.4; }
.added .tip { fill: var(--good); }
.removed .node, .removed .edge { stroke: var(--bad); stroke-width: 2.4; stroke-dasharray: 4 3; }
.removed .tip { fill: var(--bad); } .removed text { opacity: 0.75; }
.changed .node, .changed .edge { stroke: var(--warn); stroke-width: 2.4; }
.changed .tip { fill: var(--warn); }
.s-completed .node { stroke: var(--good); stroke-width: 2; }
.s-failed .node { stroke: var(--bad); stroke-width: 2.6; }
.s-running .node, .s-ready .node { stroke: var(--hot); stroke-width: 2.6; }
.s-waiting .node { stroke: var(--wait); stroke-width: 2.4; }
.s-retrying .node { stroke: var(--warn); stroke-width: 2.4; }
.s-skipped, .s-cancelled, .s-pending { opacity: 0.5; }
.join { stroke: var(--line); stroke-width: 3; }
`;

/** The picture as an SVG document. */
export function renderSvg(picture: Picture): string {
  const laid = layOut(picture);
  const titleHeight = 40;
  const width = Math.max(laid.width, picture.title.length * 9 + 48);
  const height = laid.height + titleHeight;
  const frame = { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}` };
  const parts = [
    `<title>${escape(picture.title)}</title>`,
    `<style>${STYLE}</style>`,
    tag("rect", { class: "bg", width, height }),
    tag("text", { class: "id", x: 24, y: 28 }, escape(picture.title)),
    `<g transform="translate(0 ${titleHeight - 8})">`,
    ...laid.groups.map(({ title, box }) => groupSvg(title, box)),
    ...laid.edges.map(edgeSvg),
    ...laid.nodes.map(({ node, box }) => nodeSvg(node, box)),
    // Words lie above everything, so that no line crosses them.
    ...laid.edges.map(labelSvg),
    "</g>",
  ];
  const inside = `\n${parts.filter((part) => part !== "").join("\n")}\n`;
  return `${tag("svg", { ...frame, width, height, role: "img" }, inside)}\n`;
}

function groupSvg(title: string, box: Box): string {
  const { width, height } = box;
  const [x, y] = [box.x - width / 2, box.y - height / 2];
  return (
    tag("rect", { class: "group", x, y, width, height, rx: 10 }) +
    tag("text", { class: "sub", x: x + 10, y: y + height - 8 }, `${escape(title)}: each item`)
  );
}

function nodeSvg(node: PictureNode, box: Box): string {
  const classes = [
    node.mark ?? "",
    node.state === undefined ? "" : `s-${node.state.status}`,
    node.isCritical && node.mark === undefined && node.state === undefined ? "critical" : "",
  ];
  const [left, top] = [box.x - box.width / 2, box.y - box.height / 2];
  const bar = { x1: left + 12, x2: left + box.width - 12, y1: top - 3, y2: top - 3 };
  const middle = { x: box.x, "text-anchor": "middle" };
  const inside =
    tag("title", {}, escape(`${node.id}: ${subtitleOf(node)}`)) +
    shapeSvg(node, box) +
    (node.join === null ? "" : tag("line", { class: "join", ...bar })) +
    tag("text", { class: "id", ...middle, y: box.y - 2 }, escape(shorten(node.id, 40))) +
    tag("text", { class: "sub", ...middle, y: box.y + 14 }, escape(subtitleOf(node)));
  return tag("g", { class: classes.filter((name) => name !== "").join(" ") }, inside);
}

function shapeSvg(node: PictureNode, { x, y, width, height }: Box): string {
  const [l, r, t, b] = [x - width / 2, x + width / 2, y - height / 2, y + height / 2];
  const points = (list: [number, number][]): string =>
    `<polygon class="node" points="${list.map(([px, py]) => `${n(px)},${n(py)}`).join(" ")}"/>`;
  switch (node.shape) {
    case "branch":
      return points([
        ...([
          [l, y],
          [l + BRANCH_SLANT, t],
          [r - BRANCH_SLANT, t],
        ] as [number, number][]),
        ...([
          [r, y],
          [r - BRANCH_SLANT, b],
          [l + BRANCH_SLANT, b],
        ] as [number, number][]),
      ]);
    case "wait":
      return points([
        [l + WAIT_SLANT, t],
        [r, t],
        [r - WAIT_SLANT, b],
        [l, b],
      ]);
    default: {
      const rx = node.shape === "parallel" ? height / 2 : 8;
      const rect = tag("rect", { class: "node", x: l, y: t, width, height, rx });
      const behind = { class: "node", x: l + 5, y: t + 5, width, height, rx };
      return node.shape === "group" ? tag("rect", behind) + rect : rect;
    }
  }
}

function edgeSvg({ edge, points }: Layout["edges"][number]): string {
  const last = points.at(-1);
  const before = points.at(-2);
  if (last === undefined || before === undefined) return "";
  const isHot = edge.isCritical && edge.kind === "flow";
  const classes = [edge.kind, edge.mark ?? "", isHot ? "critical" : ""];
  return (
    `<g class="${classes.filter((name) => name !== "").join(" ")}">` +
    `<path class="edge" d="${pathOf(points)}"/><polygon class="tip" points="${tip(before, last)}"/></g>`
  );
}

/** A smooth line: through the middles of the segments, bent at the points between them. */
function pathOf(points: readonly Point[]): string {
  const [first, ...rest] = points as [Point, ...Point[]];
  let d = `M${n(first.x)} ${n(first.y)}`;
  rest.forEach((point, i) => {
    const after = rest[i + 1];
    if (after === undefined) {
      d += ` L${n(point.x)} ${n(point.y)}`;
    } else {
      const [mx, my] = [(point.x + after.x) / 2, (point.y + after.y) / 2];
      d += ` Q${n(point.x)} ${n(point.y)} ${n(mx)} ${n(my)}`;
    }
  });
  return d;
}

function tip(before: Point, { x, y }: Point): string {
  const angle = Math.atan2(y - before.y, x - before.x);
  const corner = (turn: number): string =>
    `${n(x - 9 * Math.cos(angle + turn))},${n(y - 9 * Math.sin(angle + turn))}`;
  return `${n(x)},${n(y)} ${corner(0.4)} ${corner(-0.4)}`;
}

function labelSvg({ label, at }: Layout["edges"][number]): string {
  if (at === null) return "";
  const width = label.length * 6.3 + 6;
  const plate = { x: at.x - width / 2, y: at.y - 9, width, height: 17, rx: 4 };
  const place = { x: at.x, y: at.y + 4, "text-anchor": "middle" };
  return (
    tag("rect", { class: "plate", ...plate }) +
    tag("text", { class: "label", ...place }, escape(label))
  );
}

/** One element; numbers in short. */
function tag(name: string, attributes: { [key: string]: string | number }, inside = ""): string {
  const list = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${typeof value === "number" ? n(value) : value}"`,
  );
  const close = inside === "" ? "/>" : `>${inside}</${name}>`;
  return `<${name}${list.join("")}${close}`;
}

function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
