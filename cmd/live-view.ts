/**
 * Progress of a run on stderr: on a terminal the list of nodes, drawn anew as they change; elsewhere
 * one line per node that got somewhere.
 */
import type { NodeStatus, RunStatus } from "../sdk/internal.ts";
import { alignColumns, formatMs, plainText, type Output } from "./output.ts";

export interface NodeLine {
  status: NodeStatus;
  attempts: number;
  started_at: number | null;
  ended_at: number | null;
}

const SIGNS: { [status in NodeStatus]: string } = {
  pending: "·",
  ready: "○",
  running: "●",
  waiting: "◔",
  retrying: "↻",
  completed: "✓",
  failed: "✗",
  skipped: "-",
  cancelled: "×",
};
/** States that a plain log does not mention: they are followed by one that says more. */
const QUIET: ReadonlySet<NodeStatus> = new Set(["pending", "ready", "running"]);
/** Nodes drawn at most; more than that is no longer read. */
const DRAWN_MAX = 30;
const REDRAW_MS = 50;

export class LiveView {
  readonly #output: Output;
  readonly #title: string;
  readonly #depths: { readonly [id: string]: number };
  readonly #nodes = new Map<string, NodeLine>();
  readonly #told = new Map<string, string>();
  #status: RunStatus = "QUEUED";
  #lines = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(output: Output, title: string, depths: { readonly [id: string]: number } = {}) {
    this.#output = output;
    this.#title = title;
    this.#depths = depths;
  }

  /** A node as it is now; nodes are shown in the order of their first appearance. */
  node(id: string, line: NodeLine): void {
    this.#nodes.set(id, { ...line });
    if (this.#output.isLive) {
      this.#soon();
    } else if (!QUIET.has(line.status)) {
      this.#tell(id, line);
    }
  }

  status(status: RunStatus): void {
    this.#status = status;
    if (this.#output.isLive) {
      this.#soon();
    }
  }

  /** Draws the last state for good. */
  end(): void {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    if (this.#output.isLive) {
      this.#draw();
    }
  }

  #tell(id: string, line: NodeLine): void {
    const text = `${id} ${describe(line)}`;
    // A snapshot repeats what was told before.
    const key = `${line.status} ${line.attempts} ${line.started_at ?? ""} ${line.ended_at ?? ""}`;
    if (this.#told.get(id) !== key) {
      this.#told.set(id, key);
      this.#output.note(text);
    }
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#draw();
    }, REDRAW_MS);
  }

  #draw(): void {
    const shown = [...this.#nodes].slice(0, DRAWN_MAX);
    const rows = shown.map(([id, line]) => {
      const indent = "  ".repeat(Math.min(this.#depths[id] ?? 0, 12));
      return [`  ${indent}${SIGNS[line.status]} ${id}`, describe(line)];
    });
    const rest = this.#nodes.size - shown.length;
    const lines = [`${this.#title} ${this.#status}`, ...alignColumns(rows)];
    if (rest > 0) {
      lines.push(`  … and ${rest} more nodes`);
    }
    const back = this.#lines > 0 ? `\x1b[${this.#lines}A` : "";
    const width = this.#output.columns - 1;
    const text = lines.map((line) => `\x1b[2K${plainText(line).slice(0, width)}\n`).join("");
    this.#output.draw(`${back}\x1b[0J${text}`);
    this.#lines = lines.length;
  }
}

function describe(line: NodeLine): string {
  const { status, attempts, started_at: from, ended_at: to } = line;
  const tried = attempts > 1 ? `, attempt ${attempts}` : "";
  const took =
    from !== null && to !== null && status !== "skipped" ? ` ${formatMs(to - from)}` : "";
  return `${status}${tried}${took}`;
}
