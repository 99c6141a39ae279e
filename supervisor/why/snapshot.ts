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
  elementPlace,
  isUnitAlive,
  mapUnit,
  openTokens,
  parseUnit,
  parseWait,
  nodeAt,
  nodeStreams,
  PAUSE_CAUSES,
  type Hash,
  type OpenToken,
  type RunSnapshot,
  type StandingEntry,
} from "../../sdk/internal.ts";
import type { Explanation, Reason } from "../explain.ts";
import { REPAIRS_MAX, repairTries } from "../repair-tries.ts";
import { waitText } from "../wait-text.ts";
import { awakeReasons } from "./awake.ts";
import { circuitReason, NO_TIMER, timeText, timerReason } from "./circuits.ts";
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
  const isFrozen = status === "asleep";
  if (ir === null || (status !== "running" && status !== "paused" && !isFrozen)) {
    return { reasons: whole, more: 0 };
  }
  const isAsked = (id: string): boolean => node === undefined || id === node;
  const tokens = openTokens(ir, isFrozen ? thawed(snapshot) : snapshot.units);
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
    const reason = await explainToken(context, token, entry);
    reasons.push({ ...about, ...(isFrozen ? withoutTimer(reason) : reason) });
  }
  const finishing = explainFinishing(ir, snapshot).filter(({ node: at = "" }) => isAsked(at));
  const finishingTold = finishing.slice(0, Math.max(0, TOKENS_MAX - told.length));
  const joins = explainJoins(ir, snapshot, tokens).filter((join) => isAsked(join.node ?? ""));
  const more = standing.length - told.length + finishing.length - finishingTold.length;
  const awake = isFrozen ? [] : awakeReasons(snapshot, tokens);
  return { reasons: [...whole, ...reasons, ...finishingTold, ...joins, ...awake], more };
}

/** Its units as they were before it was frozen. */
function thawed({ runId, units }: RunSnapshot): ReadonlyMap<string, Hash> {
  const run = units.get(runId) ?? {};
  return new Map([...units, [runId, { ...run, s: "ps" in run ? "paused" : "running" }]]);
}

/** Timers of a frozen run are off; waking arms them again. */
function withoutTimer(reason: Reason): Reason {
  return { ...reason, text: reason.text.replace(NO_TIMER, "the time that its journal has") };
}

/** Elements of maps that are done but for their output. */
function explainFinishing(ir: Ir, { units }: RunSnapshot): Reason[] {
  return [...units].flatMap(([unit, hash]): Reason[] => {
    const place = elementPlace(unit);
    if (place === null || hash["s"] !== "finishing" || !isUnitAlive(units, unit)) {
      return [];
    }
    const map = nodeAt(ir, parseUnit(place.parent).home, place.node)?.id ?? "";
    return [{ kind: "finishing", node: map, ...homeOf(unit), text: FINISHING }];
  });
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

const FINISHING = "waits for a worker to evaluate its output template";

/** Asleep by its hash, and not, or not yet, by its row. */
function explainFrozen({ tk: ticket }: Hash): Reason {
  const archive = "is a supervisor running, and Postgres there?";
  return ticket === undefined
    ? {
        kind: "falling_asleep",
        text:
          "falls asleep, because it waits for long, and that is not archived yet; what comes for " +
          `it meanwhile waits until it is: ${archive}`,
      }
    : {
        kind: "waking",
        text: `is being woken: its journal is read, then it is written into Redis; ${archive}`,
      };
}

/** What is to be said of the run as a whole. */
function explainStatus(snapshot: RunSnapshot): Reason[] {
  const run = snapshot.units.get(snapshot.runId) ?? {};
  const status = run["s"] ?? "";
  switch (status) {
    case "running":
      return [];
    case "finishing":
      return [{ kind: "finishing", text: FINISHING }];
    case "asleep":
      return [explainFrozen(run)];
    case "suspect": {
      return [{ kind: "suspect", text: suspectText(run) }];
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

function suspectText(run: Hash): string {
  const tries = repairTries(run);
  return tries === null
    ? "frozen, because a script failed half-way: a supervisor rebuilds it"
    : `frozen, and cannot be put back from its journal, after ${tries.count} of ${REPAIRS_MAX} ` +
        `tries: ${tries.message}; after the last it ends as FAILED, "gavotte cancel" ends it now`;
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
  const { nowMs } = context;
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
    const text = waitText(wait, dueMs, nowMs) + (child === undefined ? "" : ` (${child})`);
    return { kind: "wait", dueMs, wait, ...more, text };
  }
  const at = timeText(dueMs, nowMs);
  if (state === "w" && node.rate_limit !== undefined) {
    const key = node.rate_limit.key || node.id;
    const text = `waiting for a slot of rate limit ${key} until ${at}`;
    return { kind: "rate_limit", dueMs, key, text };
  }
  if (state === "r" && node.circuit_breaker !== undefined && record.attempt === 1) {
    return circuitReason(node.circuit_breaker.key || node.id, dueMs, nowMs, null);
  }
  if (state === "r" && record.attempt > 1) {
    return { kind: "retry", dueMs, attempt: record.attempt, text: `next attempt: ${at}` };
  }
  return timerReason(dueMs, nowMs);
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
