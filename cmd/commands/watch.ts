/** `gavotte watch RUN`: follows a run through the gateway's live feed, to its end. */
import { followFeed, type FeedMessage, type FeedNode } from "../../sdk/feed-client.ts";
import type { RunError, RunStatus } from "../../sdk/internal.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { gatewayKey, gatewayUrl } from "../gateway-url.ts";
import { LiveView } from "../live-view.ts";

/** What was heard, and what `--json` prints at the end. */
interface Watched {
  run_id: string;
  status: RunStatus;
  progress: number;
  error: RunError | null;
  nodes: { [id: string]: FeedNode };
}

const OPEN = new Set(["pending", "ready", "running", "waiting", "retrying"]);

/** 0 if the run completes, 1 if it does not. */
export async function watch(context: Context, runId: string): Promise<number> {
  const config = await context.config();
  const url = await gatewayUrl(context, config);
  const { output, signal } = context;
  const nodes: Watched["nodes"] = Object.create(null) as Watched["nodes"];
  const run: Watched = { run_id: runId, status: "QUEUED", progress: 0, error: null, nodes };
  const live = new LiveView(output, runId);
  try {
    await followFeed({
      url,
      ...gatewayKey(config),
      runId,
      signal,
      onMessage: (message) => hear(run, live, message),
      onRetry: (reason, waitMs) =>
        output.note(`connection lost (${reason}); trying again in ${waitMs} ms`),
    });
  } finally {
    live.end();
  }
  const error = run.error === null ? "" : `: ${run.error.code} ${run.error.message}`;
  output.line(`${runId} ${run.status}${error}`);
  output.document(run);
  return run.status === "COMPLETED" ? EXIT.done : EXIT.failed;
}

function hear(
  run: Watched,
  live: LiveView,
  message: Exclude<FeedMessage, { type: "error" }>,
): void {
  switch (message.type) {
    case "snapshot":
      run.status = message.status;
      run.progress = message.progress;
      for (const [id, node] of Object.entries(message.nodes)) {
        run.nodes[id] = node;
        live.node(id, node);
      }
      break;
    case "status_update":
      run.progress = message.progress;
      if (message.node === null) {
        run.status = message.status as RunStatus;
      } else {
        const node = updated(run.nodes[message.node], message);
        run.nodes[message.node] = node;
        live.node(message.node, node);
      }
      break;
    case "end":
      run.status = message.status;
      run.error = message.error;
      break;
  }
  live.status(run.status);
}

/** A node after an update, which tells when, but not since when. */
function updated(
  before: FeedNode | undefined,
  message: FeedMessage & { type: "status_update" },
): FeedNode {
  const at = Date.parse(message.timestamp);
  const status = message.status as FeedNode["status"];
  const isFresh = status === "ready" && (before === undefined || !isUnderWay(before));
  const started_at = isFresh ? at : (before?.started_at ?? null);
  return { status, attempts: message.attempt, started_at, ended_at: OPEN.has(status) ? null : at };
}

function isUnderWay(node: FeedNode): boolean {
  return node.status !== "pending" && OPEN.has(node.status);
}
