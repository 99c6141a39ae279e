/**
 * The conservation audit of one run: every token accounted for (20 §9.1, 9.3).
 *
 * The counter equals what is in flight. An active token has one entry: its own, that of the chain
 * which has come to it, or one held with its paused run. A token that waits has what will end its
 * wait: a timer that is due when the journal says, a registration for a signal, an address, a child.
 * A map whose elements run has its hash and its elements. A reference to a blob has its blob. Pure:
 * it judges a snapshot.
 */
import type { Ir } from "../../compiler/ir.ts";
import { parseBlobText } from "../blobs.ts";
import { chainPlace } from "../chain.ts";
import { parseRecord } from "../entry.ts";
import type { HotState } from "../hot-state.ts";
import type { HotToken } from "../hot-tokens.ts";
import { outputIn } from "../run-data.ts";
import { bodyAt, mapUnit } from "../unit.ts";
import { linesOf, parseWait } from "../waits.ts";
import { foldDrifts } from "./compare.ts";
import type { Drift } from "./drift.ts";
import { finishPrefix, type RunSnapshot, type StandingEntry } from "./snapshot.ts";
import { signalDrifts } from "./signals.ts";
import { runTimerDrifts, tokenTimerDrifts } from "./timers.ts";
import { driftAt, openTokens, type OpenToken } from "./tokens.ts";
import { foldedStates, isScopeCurrent, isUnitAlive, tokensInFlight, type Hash } from "./units.ts";

const OPEN = new Set(["running", "paused"]);

/** All that is wrong with a run that has not ended; `hot`: its journal folded up to the snapshot. */
export function auditRun(ir: Ir, snapshot: RunSnapshot, hot: HotState | null): Drift[] {
  const run = snapshot.units.get(snapshot.runId) ?? {};
  const status = run["s"] ?? "";
  if (status === "suspect") {
    const is = "a script failed half-way, or somebody asked for its repair: it is frozen";
    const at = { runId: snapshot.runId, is, expected: "a run that goes on" };
    return [{ kind: "suspect", ...at, remedy: "rebuild" }];
  }
  const folds = hot === null ? [] : foldDrifts(ir, snapshot, hot);
  if (status !== "running" && status !== "paused" && status !== "finishing") {
    return folds;
  }
  const tokens = openTokens(ir, snapshot.units);
  const states = hot === null ? null : foldedStates(snapshot.runId, hot);
  return [
    ...counterDrifts(ir, snapshot),
    ...folds,
    ...tokens.flatMap((token) => tokenDrifts(snapshot, token, states)),
    ...waiterDrifts(snapshot, tokens),
    ...(hot === null ? [] : signalDrifts(snapshot, hot)),
    ...runTimerDrifts(ir, snapshot, hot),
    ...blobDrifts(snapshot),
    ...placeDrifts(snapshot, run),
  ];
}

/** Whether an entry is the token's own. */
export function isOwnEntry({ unit, index, record }: OpenToken, entry: StandingEntry): boolean {
  const { token } = entry;
  return (
    token.unit === unit &&
    token.node === index &&
    token.scope === record.scope &&
    token.attempt === record.attempt &&
    token.kind !== "finish"
  );
}

/** The entries that stand for a token: its own, else those of a chain that has come to it. */
export function standingFor(
  snapshot: Pick<RunSnapshot, "entries" | "units">,
  token: OpenToken,
): StandingEntry[] {
  const epoch = snapshot.units.get(token.unit)?.["e"];
  const alive = snapshot.entries.filter(({ token: { epoch: at } }) => at === epoch);
  const own = alive.filter((entry) => isOwnEntry(token, entry));
  if (own.length > 0) {
    return own;
  }
  return alive.filter(({ token: first }) => {
    const isNear = first.unit === token.unit && first.scope === token.record.scope;
    const record = parseRecord(token.hash[`n${first.node}`]);
    const isOver = record !== null && !"akg".includes(record.state);
    return isNear && isOver && chainPlace(token.ir, first, token.hash).active === token.index;
  });
}

function counterDrifts(root: Ir, { runId, units }: RunSnapshot): Drift[] {
  return [...units].flatMap(([unit, hash]): Drift[] => {
    const ir = hash["by"] === undefined ? bodyAt(root, hash["ir"] ?? "") : null;
    if (ir === null || !isUnitAlive(units, unit)) {
      return [];
    }
    const drift = counterDrift(ir, hash);
    return drift === null
      ? []
      : [
          {
            kind: "counter",
            runId,
            ...(unit === runId ? {} : { unit }),
            ...drift,
            remedy: "rebuild",
          },
        ];
  });
}

/** What is wrong with a unit's counter; null: nothing. */
export function counterDrift(ir: Ir, hash: Hash): Pick<Drift, "is" | "expected"> | null {
  const counter = hash["c"];
  const live = tokensInFlight(ir, hash);
  if (!OPEN.has(hash["s"] ?? "") || (counter === String(live) && live > 0)) {
    return null;
  }
  const expected = live > 0 ? `${live}, the tokens in flight` : "an end: nothing is in flight";
  return { is: `counter ${counter ?? "absent"}`, expected };
}

function tokenDrifts(
  snapshot: RunSnapshot,
  token: OpenToken,
  states: ReadonlyMap<string, HotState> | null,
): Drift[] {
  const hot = states?.get(token.unit)?.tokens.get(token.index);
  switch (token.record.state) {
    case "a":
    case "k":
    case "g":
      return entryDrifts(snapshot, token);
    case "m":
      return mapDrifts(snapshot, token, hot);
    default:
      return waitDrifts(snapshot, token, hot);
  }
}

function entryDrifts(snapshot: RunSnapshot, token: OpenToken): Drift[] {
  const found = standingFor(snapshot, token);
  const good = found.filter(({ state }) => state !== "lost");
  const [lost] = found.filter(({ state }) => state === "lost");
  if (good.length === 0 && lost !== undefined) {
    const is = "its entry was delivered and is in nobody's hands";
    const { queueKey: key, entryId: member } = lost.token;
    const expected = "an entry that is queued or pending";
    return [{ ...driftAt(snapshot, token, "entry_lost", is, expected), key, member }];
  }
  if (good.length === 0) {
    const is = `active (attempt ${token.record.attempt}), but no entry stands for it`;
    return [driftAt(snapshot, token, "entry_missing", is, "one entry")];
  }
  const own = good.filter(({ token: { kind, answer } }) => kind !== "answered" || !isLate(answer));
  if (own.length > 1) {
    const is = `${own.length} entries stand for it`;
    const one = driftAt(
      snapshot,
      token,
      "entry_double",
      is,
      "one; its record lets one result through",
    );
    return [{ ...one, remedy: "wait", harmless: true }];
  }
  return [];
}

/** A token over its time in the queue, or of its node, has an entry that fails it beside its own. */
function isLate(answer: string | null): boolean {
  return /^\{"kind":"timeout","of":/.test(answer ?? "");
}

function mapDrifts(snapshot: RunSnapshot, token: OpenToken, hot: HotToken | undefined): Drift[] {
  const name = mapUnit(token.unit, token.record.scope, token.index);
  const hash = snapshot.units.get(name);
  if (hash === undefined) {
    return [
      driftAt(snapshot, token, "map_missing", `the map's hash ${name} is not there`, "it is"),
    ];
  }
  const drifts = tokenTimerDrifts(snapshot, token, hot);
  if (!snapshot.maps.has(name)) {
    const is = `${name} is not on the run's list of maps`;
    drifts.push(driftAt(snapshot, token, "map_missing", is, "it is, so that it is released"));
  }
  const wrong = mapCountDrift(hash);
  if (wrong !== null) {
    drifts.push(driftAt(snapshot, token, "map_counts", wrong, "counts of what is there"));
  }
  for (let i = 0; i < Number(hash["next"] ?? 0); i++) {
    const isOver = hash[`r${i}`] !== undefined || hash[`e${i}`] !== undefined;
    if (!isOver && !snapshot.units.has(`${name}#${i}`)) {
      const is = `element ${i} has begun, has no result, and no hash`;
      drifts.push(driftAt(snapshot, token, "element_missing", is, "a hash or a result"));
    }
  }
  return drifts;
}

/** What is wrong with a map's counts; null: nothing. */
export function mapCountDrift(hash: Hash): string | null {
  const { n, next, done, failed, tolerated } = hash;
  const ended = Object.keys(hash).filter((field) => /^[re]\d+$/.test(field)).length;
  const isRight =
    ended === Number(done) && Number(done) <= Number(next) && Number(next) <= Number(n);
  return isRight && Number(failed) <= Number(tolerated) + 1
    ? null
    : `n ${n}, next ${next}, done ${done}, failed ${failed} with ${ended} results`;
}

function waitDrifts(snapshot: RunSnapshot, token: OpenToken, hot: HotToken | undefined): Drift[] {
  const { index, hash, record } = token;
  const wait = record.state === "w" ? (parseWait(hash[`w${index}`])?.wait ?? null) : null;
  const drifts = tokenTimerDrifts(snapshot, token, hot);
  if (wait === null && hot?.wait !== undefined) {
    const is = `field w${index} does not say what it waits for`;
    drifts.push(driftAt(snapshot, token, "wait_missing", is, JSON.stringify(hot.wait)));
  } else if (wait?.kind === "signal" && !isRegistered(snapshot, token, wait.signal ?? "")) {
    const is = `it is not among those who wait for signal ${wait.signal}`;
    drifts.push(driftAt(snapshot, token, "wait_missing", is, "its registration"));
  } else if (wait?.kind === "child" && !snapshot.children.has(wait.run ?? "")) {
    const is = `its child ${wait.run} is not in Redis`;
    const one = driftAt(snapshot, token, "child_missing", is, "a child that runs, or how it ended");
    drifts.push({ ...one, member: wait.run ?? "" });
  }
  return drifts;
}

function isRegistered({ signals }: RunSnapshot, token: OpenToken, name: string): boolean {
  const own = waiterOf(token);
  return (linesOf(signals).get(name) ?? []).some((waiter) => waiter.startsWith(own));
}

/** How a token stands in the list of those who wait for a signal, without its queue. */
function waiterOf({ unit, index, record }: OpenToken): string {
  const home = unit.includes("!") ? unit.slice(unit.indexOf("!") + 1) : "";
  return [index, home, record.scope, record.attempt, ""].join("|");
}

/** Registrations of tokens that do not wait: a signal would be lost to them. */
function waiterDrifts(snapshot: RunSnapshot, tokens: readonly OpenToken[]): Drift[] {
  const { runId, signals, units } = snapshot;
  const waiting = new Set(
    tokens.filter(({ record }) => record.state === "w").map((token) => waiterOf(token)),
  );
  return [...linesOf(signals)].flatMap(([name, waiters]) => {
    return waiters.flatMap((waiter): Drift[] => {
      const [node = "", home = "", scope = "", attempt = ""] = waiter.split("|");
      const hash = units.get(home === "" ? runId : `${runId}!${home}`);
      const isVoid = hash === undefined || !isScopeCurrent(hash, scope);
      if (isVoid || waiting.has([node, home, scope, attempt, ""].join("|"))) {
        return []; // of a round or a map that is over: it is passed over
      }
      const is = `${waiter} is registered for signal ${name}, but does not wait`;
      const at = { runId, member: `field w:${name}`, is, expected: "no registration" };
      return [{ kind: "waiter_orphan", ...at, remedy: "rebuild" }];
    });
  });
}

function blobDrifts({ runId, units, blobs }: RunSnapshot): Drift[] {
  const drifts: Drift[] = [];
  for (const [unit, hash] of units) {
    for (const [field, value] of Object.entries(hash)) {
      const ref = parseBlobText(outputIn(field, value));
      if (ref !== null && !blobs.has(ref.sha256)) {
        const is = `field ${field} refers to ${ref.sha256}, which is not there`;
        const at = { runId, ...(unit === runId ? {} : { unit }), member: `blob ${ref.sha256}` };
        drifts.push({ kind: "blob_missing", ...at, is, expected: "the blob", remedy: "rebuild" });
      }
    }
  }
  return drifts;
}

/** The run on the lists where it must be, and what will evaluate its output. */
function placeDrifts(snapshot: RunSnapshot, run: Hash): Drift[] {
  const { runId, timers, entries, isListedPaused, units } = snapshot;
  const drifts: Drift[] = [];
  const isHeld = entries.some(({ state }) => state === "held");
  if (run["s"] === "paused" && !isListedPaused) {
    const is = "it is paused, but not on the list of paused runs";
    const expected = "it is, so that its resuming is finished";
    drifts.push({ kind: "pause_unlisted", runId, is, expected, remedy: "rebuild" });
  } else if (run["s"] !== "paused" && isHeld && !isListedPaused) {
    const is = "entries are held, but the run is not paused and on no list";
    drifts.push({ kind: "held_left", runId, is, expected: "queued entries", remedy: "rebuild" });
  }
  for (const [unit, hash] of units) {
    const prefix = finishPrefix(unit, run["e"] ?? "");
    const isArmed = [...timers.keys()].some((member) => member.startsWith(prefix));
    const isQueued = entries.some(({ token }) => token.unit === unit && token.kind === "finish");
    if (hash["s"] === "finishing" && !isArmed && !isQueued && isUnitAlive(units, unit)) {
      const is = "its output is to be evaluated, and nobody will";
      const at = { runId, ...(unit === runId ? {} : { unit }), is, expected: "a timer" };
      drifts.push({ kind: "timer_missing", ...at, remedy: "rebuild" });
    }
  }
  return drifts;
}
