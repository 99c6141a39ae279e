/** `gavotte status RUN`: what a run has done so far, and with `--why`, what it waits for. */
import type { RunReport, WaitReport } from "../../sdk/client-report.ts";
import {
  connectRedis,
  errorCode,
  isTerminal,
  scopeJoin,
  type RunError,
} from "../../sdk/internal.ts";
import { Client } from "../../sdk/client.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import type { Hop } from "../../sdk/index.ts";
import { behindOf, behindText, type Behind } from "../behind.ts";
import type { Config } from "../config.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { explain, reasonDocument, whyLines } from "./why.ts";
import type { Output } from "../output.ts";
import { thrownAt } from "../thrown-at.ts";
import { whenCertified } from "../own-stack.ts";
import { createLogger } from "../logger.ts";
import { openStack } from "../stack.ts";
import { withClient } from "../with-client.ts";

/** Characters of a node's error. */
const ERROR_SHOWN_MAX = 200;

interface StatusFlags {
  why?: boolean;
  path?: boolean;
}

/** 0 whatever the run's status: the question was answered. */
export async function status(context: Context, runId: string, flags: StatusFlags): Promise<number> {
  const asUsual = withClient(context, async (client, stack) => {
    const report = await client.status(runId);
    const isOpen = !isTerminal(report.status);
    const row = await readRun(stack.db, runId);
    const behind = isOpen && row !== null ? await behindOf(client.redis, stack.db, row) : null;
    const { attempt = 1 } = row ?? {};
    tellReport(context.output, report, notesOf(attempt, behind));
    const { json } = context.output;
    const isAsked = (flags.why === true || json) && isOpen;
    const config = await context.config();
    await (isAsked
      ? whenCertified(stack, client, runId, config.values.submit_timeout_ms)
      : undefined);
    const told = isAsked ? await explain(config, client, runId) : null;
    if (flags.why === true && told !== null) {
      whyLines(told).forEach((line) => context.output.line(`  why: ${line}`));
    }
    const why = (told?.reasons ?? []).map(reasonDocument);
    const besides = { attempt, why, ...(behind && { behind }) };
    await tellRest(context, client, report, flags, besides);
    return EXIT.done;
  });
  return asUsual.catch(async (error: unknown) => {
    if (errorCode(error) === "GV_REDIS_UNAVAILABLE" && (await tellEnded(context, runId, flags))) {
      return EXIT.done;
    }
    throw error;
  });
}

/** Without Redis: of a run that has ended Postgres is the record. False: it has not. */
async function tellEnded(context: Context, runId: string, flags: StatusFlags): Promise<boolean> {
  const config = await context.config();
  const logger = createLogger(config, "error");
  const stack = await openStack(context, { config, logger, mustExist: true });
  const { redisUrl, db: database } = stack;
  const unused = connectRedis({ url: redisUrl }, "none"); // connects when something is asked of it
  const client = new Client({ redisUrl, database }, unused);
  try {
    const report = await client.status(runId);
    if (!isTerminal(report.status)) {
      return false;
    }
    const { attempt = 1 } = (await readRun(database, runId)) ?? {};
    tellReport(context.output, report, notesOf(attempt, null));
    await tellRest(context, client, report, flags, { attempt, why: [] });
    return true;
  } finally {
    await client.close();
    await stack.stop();
  }
}

function notesOf(attempt: number, behind: Behind | null): string[] {
  const again = `attempt ${attempt} of the run, which was redriven: it is this one that has`;
  return [
    ...(behind === null ? [] : [behindText(behind)]),
    ...(attempt > 1 ? [`${again} started and ended as is told here`] : []),
  ];
}

/** Its path, if that is asked for, and all of it as a document. */
async function tellRest(
  { output }: Context,
  client: Client,
  report: RunReport,
  flags: StatusFlags,
  besides: { attempt: number; why: readonly object[]; behind?: Behind },
): Promise<void> {
  const hops = flags.path === true ? await client.path(report.run_id) : [];
  output.table(hops.map(hopRow));
  const path = flags.path === true ? { path: hops.map(hopDocument) } : {};
  output.document({ ...report, ...besides, ...path });
}

/** "2026-01-31T08:00:00.000Z  paid → ship  3#17 12:1" */
function hopRow({ from, to, scope, element, atMs }: Hop): string[] {
  const place = scopeJoin(element, scope);
  return [`  ${new Date(atMs).toISOString()}`, `${from ?? "start"} → ${to}`, place];
}

function hopDocument({ atMs, ...hop }: Hop): object {
  return { ...hop, at: new Date(atMs).toISOString() };
}

/** A report as people read it. */
export function tellReport(output: Output, report: RunReport, notes: readonly string[] = []): void {
  output.line(`${report.workflow} ${report.run_id} ${report.status}`);
  notes.forEach((note) => output.line(note));
  if (report.business_status !== undefined) {
    output.line(`business status ${report.business_status}`);
  }
  output.line(`started ${report.started_at ?? "-"}, ended ${report.ended_at ?? "-"}`);
  if (report.stopped !== undefined) {
    const { since, by, reason } = report.stopped;
    const why = reason === "" ? "" : ` (${reason})`;
    output.line(`the deployment is stopped since ${since} by ${by || "somebody"}${why}`);
  }
  if (report.frozen === true) {
    output.line("frozen until it is repaired; --why says why");
  }
  if (report.asleep !== undefined) {
    const { since, wakes_at: at } = report.asleep;
    const wakes = at === null ? "until something comes for it" : `until ${at} at the latest`;
    output.line(`asleep since ${since}, ${wakes}`);
  }
  const rows = Object.entries(report.nodes).map(([id, node]) => {
    const times = node.activations > 1 ? `${node.activations} activations` : "";
    const tries = node.attempts > 1 ? `attempt ${node.attempts}` : "";
    const wait = node.wait === undefined ? "" : waitText(node.wait);
    const notes = [times, tries, wait, node.error === undefined ? "" : errorText(node.error)];
    return [`  ${id}`, node.status, notes.filter((text) => text !== "").join(", ")];
  });
  output.table(rows);
  tellElements(output, report);
  tellRelatives(output, report);
  if (report.error !== null) {
    const { code, message } = report.error;
    output.line(`error ${code}: ${message}${thrownAt(report.error)}`);
  }
  if (report.status === "COMPLETED") {
    output.line(`output ${JSON.stringify(report.output)}`);
  }
}

/** "paid 3#17  waiting  for signal paid": the places are those of `why` and of `node --element`. */
function tellElements(output: Output, { elements = [] }: RunReport): void {
  output.table(
    elements.map(({ element, node, scope, status, attempts, wait }) => {
      const place = scopeJoin(element, scope);
      const tries = attempts > 1 ? `attempt ${attempts}` : "";
      const notes = [tries, wait === undefined ? "" : waitText(wait)];
      return [`  ${node} ${place}`, status, notes.filter((text) => text !== "").join(", ")];
    }),
  );
}

/** "HTTP_404: GET example.com answered with status 404", in one line; all of it is in `--json`. */
function errorText(error: RunError): string {
  const line = error.message.replace(/\s+/g, " ").trim();
  const isLong = line.length > ERROR_SHOWN_MAX;
  const shown = isLong ? `${line.slice(0, ERROR_SHOWN_MAX)} …` : line;
  return `${error.code}: ${shown}${thrownAt(error)}`;
}

/** "for signal paid until 2026-01-31T08:00:00.000Z (callback 0198….3-kj8f)" */
function waitText(wait: WaitReport): string {
  const who = (wait.assignees ?? []).join(" or ") || "anybody";
  const what = {
    delay: "",
    rate_limit: `for a slot of rate limit ${wait.key ?? ""}`,
    circuit: `for circuit ${wait.key ?? ""}, which is open,`,
    signal: `for signal ${wait.signal ?? ""}`,
    approval: `for approval by ${who}`,
    child: `for run ${wait.run ?? ""}`,
  }[wait.for];
  const address = wait.for === "signal" ? `(callback ${wait.token})` : `(${wait.token ?? ""})`;
  const until = wait.until === null ? "" : `until ${wait.until}`;
  const parts = [what, until, wait.token === undefined ? "" : address];
  return parts.filter((part) => part !== "").join(" ");
}

function tellRelatives(output: Output, report: RunReport): void {
  const { parent, children = [], compensation, compensates } = report;
  if (parent !== undefined) {
    output.line(`started by ${parent.run_id}, node ${parent.node}`);
  }
  output.table(
    children.map(({ run_id, node, element, workflow, version, status }) => {
      const name = version === "" ? workflow : `${workflow}@${version}`;
      const place = element === undefined ? node : `${node} ${element}`;
      return [`  child of ${place}`, name, run_id, status];
    }),
  );
  if (compensation !== undefined) {
    output.line(`undone by ${compensation.run_id} ${compensation.status}`);
  }
  if (compensates !== undefined) {
    output.line(`undoes ${compensates}`);
  }
}

/** What a run waits for, one line per token that stands still. */
export async function why(config: Config, client: Client, runId: string): Promise<string[]> {
  return whyLines(await explain(config, client, runId));
}
