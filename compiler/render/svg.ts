/**
 * A picture as one self-contained SVG: colours follow the reader's light or dark setting, text
 * stays text, nothing is loaded from anywhere.
 */
import { layOut } from "./layout.ts";
import type { Box, Layout, Point } from "./layout.ts";
import { shorten, subtitleOf } from "./picture.ts";
import type { Picture, PictureNode } from "./picture.ts";

const STYLE = `
:root { --bg:#ffffff; --card:#f6f8fa; --line:#57606a; --ink:#1f2328; --soft:#656d76;
  --hot:#0969da; --good:#1a7f37; --bad:#cf222e; --warn:#9a6700; --wait:#8250df; --rule:#d0d7de; }
@media (prefers-color-scheme: dark) { :root { --bg:#0d1117; --card:#161b22; --line:#8b949e;
  --ink:#e6edf3; --soft:#8b949e; --hot:#58a6ff; --good:#3fb950; --bad:#f85149; --warn:#d29922;
  --wait:#bc8cff; --rule:#30363d; } }
text { font-family: ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
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
.added .node, .added .edge { stroke: var(--good); stroke-width: 2.4; } .added .tip { fill: var(--good); }
.removed .node, .removed .edge { stroke: var(--bad); stroke-width: 2.4; stroke-dasharray: 4 3; }
.removed .tip { fill: var(--bad); } .removed text { opacity: 0.75; }
.changed .node, .changed .edge { stroke: var(--warn); stroke-width: 2.4; } .changed .tip { fill: var(--warn); }
.s-completed .node { stroke: var(--good); stroke-width: 2; } .s-failed .node { stroke: var(--bad); stroke-width: 2.6; }
.s-running .node, .s-ready .node { stroke: var(--hot); stroke-width: 2.6; }
.s-waiting .node { stroke: var(--wait); stroke-width: 2.4; } .s-retrying .node { stroke: var(--warn); stroke-width: 2.4; }
.s-skipped, .s-cancelled, .s-pending { opacity: 0.5; }
.join { stroke: var(--line); stroke-width: 3; }
`;

/** The picture as an SVG document. */
export function renderSvg(picture: Picture): string {
  const laid = layOut(picture);
  const titleHeight = 40;
  const width = Math.max(laid.width, picture.title.length * 9 + 48);
  const height = laid.height + titleHeight;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escape(picture.title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="bg" width="${width}" height="${height}"/>`,
    `<text class="id" x="24" y="28">${escape(picture.title)}</text>`,
    `<g transform="translate(0 ${titleHeight - 8})">`,
    ...laid.groups.map(({ title, box }) => groupSvg(title, box)),
    ...laid.edges.map(edgeSvg),
    ...laid.nodes.map(({ node, box }) => nodeSvg(node, box)),
    // Words lie above everything, so that no line crosses them.
    ...laid.edges.map(labelSvg),
    "</g></svg>",
  ];
  return `${parts.filter((part) => part !== "").join("\n")}\n`;
}

function groupSvg(title: string, box: Box): string {
  const [x, y] = [box.x - box.width / 2, box.y - box.height / 2];
  return (
    `<rect class="group" x="${n(x)}" y="${n(y)}" width="${n(box.width)}" height="${n(box.height)}" rx="10"/>` +
    `<text class="sub" x="${n(x + 10)}" y="${n(y + box.height - 8)}">${escape(title)}: each item</text>`
  );
}

function nodeSvg(node: PictureNode, box: Box): string {
  const classes = [
    node.mark ?? "",
    node.state === undefined ? "" : `s-${node.state.status}`,
    node.isCritical && node.mark === undefined && node.state === undefined ? "critical" : "",
  ];
  const [left, top] = [box.x - box.width / 2, box.y - box.height / 2];
  const join =
    node.join === null
      ? ""
      : `<line class="join" x1="${n(left + 12)}" x2="${n(left + box.width - 12)}" y1="${n(top - 3)}" y2="${n(top - 3)}"/>`;
  return (
    `<g class="${classes.filter((name) => name !== "").join(" ")}">` +
    `<title>${escape(`${node.id}: ${subtitleOf(node)}`)}</title>` +
    shapeSvg(node, box) +
    join +
    `<text class="id" x="${n(box.x)}" y="${n(box.y - 2)}" text-anchor="middle">${escape(shorten(node.id, 40))}</text>` +
    `<text class="sub" x="${n(box.x)}" y="${n(box.y + 14)}" text-anchor="middle">${escape(subtitleOf(node))}</text></g>`
  );
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
          [l + 18, t],
          [r - 18, t],
        ] as [number, number][]),
        ...([
          [r, y],
          [r - 18, b],
          [l + 18, b],
        ] as [number, number][]),
      ]);
    case "wait":
      return points([
        [l + 10, t],
        [r, t],
        [r - 10, b],
        [l, b],
      ]);
    default: {
      const radius = node.shape === "parallel" ? height / 2 : 8;
      const rect = `<rect class="node" x="${n(l)}" y="${n(t)}" width="${n(width)}" height="${n(height)}" rx="${radius}"/>`;
      const behind = `<rect class="node" x="${n(l + 5)}" y="${n(t + 5)}" width="${n(width)}" height="${n(height)}" rx="8"/>`;
      return node.shape === "group" ? behind + rect : rect;
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
  return (
    `<rect class="plate" x="${n(at.x - width / 2)}" y="${n(at.y - 9)}" width="${n(width)}" height="17" rx="4"/>` +
    `<text class="label" x="${n(at.x)}" y="${n(at.y + 4)}" text-anchor="middle">${escape(label)}</text>`
  );
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
