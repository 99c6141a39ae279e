/**
 * What there is to say of a run, by all that Redis holds of it at one moment: of the run as a whole, of
 * each token in flight, of each join that waits.
 *
 * A run may have thousands of tokens in flight. Only so many are told of; those whose entry is lost
 * come first and are never left out, because the watch (stalled.ts) puts back what it is told of.
 */
import type { Ir } from "../../compiler/ir.ts";
import {
  bodyAt,
  mapUnit,
  openTokens,
  parseUnit,
  parseWait,
  nodeStreams,
  PAUSE_CAUSES,
  timestamp,
  type OpenToken,
  type RunSnapshot,
  type StandingEntry,
} from "../../sdk/internal.ts";
import type { Explanation, Reason } from "../explain.ts";
import { waitText } from "../wait-text.ts";
import { circuitReason, timerReason } from "./circuits.ts";
import { joinText, waitingJoins } from "./joins.ts";
import { explainEntry, isActive, placeTokens, type PlaceContext } from "./place.ts";

const TOKENS_MAX = 100;

/** Of one node only if it is named. `ir` null: the workflow is not known, nor are its tokens. */
export async function explainSnapshot(
  context: PlaceContext,
  ir: Ir | null,
  node?: string,
): Promise<Pick<Explanation, "reasons" | "more">> {
  const { snapshot } = context;
  const whole = explainStatus(snapshot);
  const { s: status } = snapshot.units.get(snapshot.runId) ?? {};
  if (ir === null || (status !== "running" && status !== "paused")) {
    return { reasons: whole, more: 0 };
  }
  const isAsked = (id: string): boolean => node === undefined || id === node;
  const tokens = openTokens(ir, snapshot.units);
  const standing = placeTokens(
    snapshot,
    tokens.filter((token) => isAsked(token.node.id)),
  );
  const lost = standing.filter(({ isLost }) => isLost);
  const others = standing.filter(({ isLost }) => !isLost);
  const told = [...lost, ...others.slice(0, Math.max(0, TOKENS_MAX - lost.length))];
  const reasons: Reason[] = [];
  for (const { token, entry } of told) {
    const about = { node: token.node.id, scope: token.record.scope, ...homeOf(token.unit) };
    reasons.push({ ...about, ...(await explainToken(context, token, entry)) });
  }
  const joins = explainJoins(ir, snapshot, tokens).filter((join) => isAsked(join.node ?? ""));
  return { reasons: [...whole, ...reasons, ...joins], more: standing.length - told.length };
}

function homeOf(unit: string): { home?: string } {
  const { home } = parseUnit(unit);
  return home === "" ? {} : { home };
}

const PAUSED_BY = [
  [PAUSE_CAUSES.run, "by itself"],
  [PAUSE_CAUSES.workflow, "with its workflow"],
  [PAUSE_CAUSES.errors, "after errors in a row (settings.pause_after_errors)"],
  [PAUSE_CAUSES.parent, "with its parent"],
] as const;

/** What is to be said of the run as a whole. */
function explainStatus(snapshot: RunSnapshot): Reason[] {
  const run = snapshot.units.get(snapshot.runId) ?? {};
  const status = run["s"] ?? "";
  switch (status) {
    case "running":
      return [];
    case "finishing":
      return [{ kind: "finishing", text: "waits for a worker to evaluate its output template" }];
    case "suspect": {
      const text = "frozen, because a script failed half-way: a supervisor rebuilds it";
      return [{ kind: "suspect", text }];
    }
    case "paused": {
      const causes = run["ps"] ?? "";
      const held = snapshot.entries.filter(({ state }) => state === "held").length;
      const by = PAUSED_BY.flatMap(([cause, text]) => (causes.includes(cause) ? [text] : []));
      const text = `paused ${by.join(" and ")}: ${held} token(s) wait until it is resumed`;
      return [{ kind: "paused", causes, held, text }];
    }
    default: {
      const text = `the run has ended (${status}) and waits to be archived and released`;
      return [{ kind: "ended", status, text }];
    }
  }
}

function explainJoins(ir: Ir, snapshot: RunSnapshot, tokens: readonly OpenToken[]): Reason[] {
  return [...snapshot.units].flatMap(([unit, hash]): Reason[] => {
    const body = hash["by"] === undefined ? bodyAt(ir, hash["ir"] ?? "") : null;
    const own = tokens.filter((token) => token.unit === unit);
    return (body === null ? [] : waitingJoins(body, hash, own)).map((join): Reason => {
      const { node, scope, missing } = join;
      return { kind: "join", node, scope, ...homeOf(unit), missing, text: joinText(join) };
    });
  });
}

async function explainToken(
  context: PlaceContext,
  token: OpenToken,
  entry: StandingEntry | undefined,
): Promise<Reason> {
  const { hash, index, record, node } = token;
  const { state } = record;
  if (state === "m") {
    return explainMap(context.snapshot, token);
  }
  if (isActive(token)) {
    const reason = await explainEntry(context, token, entry);
    return reason.kind === "lost_entry" ? placed(context, token, reason) : reason;
  }
  const member = hash[`d${index}`];
  const dueMs = member === undefined ? null : (context.snapshot.timers.get(member) ?? null);
  const wait = parseWait(hash[`w${index}`])?.wait;
  if (state === "w" && wait !== undefined) {
    const child = context.snapshot.children.get(wait.run ?? "")?.["s"];
    const more = child === undefined ? {} : { child };
    const text = waitText(wait, dueMs) + (child === undefined ? "" : ` (${child})`);
    return { kind: "wait", dueMs, wait, ...more, text };
  }
  const at = dueMs === null ? "no timer is armed" : timestamp(dueMs);
  if (state === "w" && node.rate_limit !== undefined) {
    const key = node.rate_limit.key || node.id;
    const text = `waiting for a slot of rate limit ${key} until ${at}`;
    return { kind: "rate_limit", dueMs, key, text };
  }
  if (state === "r" && node.circuit_breaker !== undefined && record.attempt === 1) {
    return circuitReason(node.circuit_breaker.key || node.id, dueMs, null);
  }
  if (state === "r" && record.attempt > 1) {
    return { kind: "retry", dueMs, attempt: record.attempt, text: `next attempt: ${at}` };
  }
  return timerReason(dueMs);
}

/** The queue in which a lost token belongs. */
function placed(
  { partition, snapshot }: PlaceContext,
  token: OpenToken,
  reason: Reason & { kind: "lost_entry" },
): Reason {
  const [namespace = "", priority = "normal"] = (
    snapshot.units.get(snapshot.runId)?.["m"] ?? ""
  ).split("|");
  const level = priority === "high" || priority === "low" ? priority : "normal";
  const { queueKeys } = nodeStreams(token.ir, { partition, namespace, priority: level });
  const queueKey = reason.token.queueKey || (queueKeys[token.node.queue] ?? "");
  return { ...reason, token: { ...reason.token, queueKey } };
}

/** How far a map is; its elements' tokens are explained on their own. */
function explainMap({ units }: RunSnapshot, { unit, index, record }: OpenToken): Reason {
  const hash = units.get(mapUnit(unit, record.scope, index)) ?? {};
  const [total = 0, next = 0, done = 0, failed = 0] = ["n", "next", "done", "failed"].map((field) =>
    Number(hash[field] ?? 0),
  );
  const running = next - done;
  const rest = total - next;
  const text =
    `${done} of ${total} elements have ended${failed > 0 ? `, ${failed} of them failed` : ""}, ` +
    `${running} are on their way${rest > 0 ? `, ${rest} wait for one of these to end` : ""}`;
  return { kind: "map", total, done, failed, running, text };
}
