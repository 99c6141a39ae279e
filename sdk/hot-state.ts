/**
 * Folding a run's journal back into its hot state: the run hash that Redis had (20 §9.4).
 *
 * It mirrors scripts/include/complete_plan.lua, with one difference: joins are not decided here,
 * the journal says how they were. Used to rebuild runs after Redis was lost, and by the tests that
 * compare the fold with the real hash after every transition.
 */
import type { Ir } from "../compiler/ir.ts";
import type { TokenRecord } from "./entry.ts";
import { HotMap } from "./hot-map.ts";
import { editedInput, restore, restoreFields } from "./hot-restore.ts";
import type { Redriven, Transition } from "./journal.ts";
import { Planner, type EffectPlan } from "./plan.ts";
import { HotSignals } from "./hot-signals.ts";
import {
  lastChild,
  parseWaitToken,
  waitOver,
  type Decision,
  type ManualAnswer,
  type WaitAnswer,
  type WaitInfo,
} from "./waits.ts";
import { entrySuffix, loopChain, scopeJoin, scopePrefix } from "./scope.ts";

export interface HotTimer {
  /** Redis time, ms. */
  dueMs: number;
  kind: "emit" | "resume" | "expire" | "map";
}

export interface HotToken extends TokenRecord {
  /** Set while the token waits for a time. */
  timer: HotTimer | null;
  /** Its delay is over: it goes on, it does not wait again. */
  isResumed: boolean;
  /** Of one that waits: the circuit that holds it back. */
  circuit?: string | undefined;
  /** What a parked token waits for, if not for a time only. */
  wait?: WaitInfo;
  /** What ended its wait. */
  answer?: WaitAnswer;
}

export interface HotJoin {
  scope: string;
  live: number;
  decided: number;
  failed: number;
  /** One character per in-edge: L, D, X, or `.` while undecided. */
  arrivals: string;
}

const EFFECT_FIELDS = 8;

export class HotState {
  readonly ir: Ir;
  readonly tokens = new Map<number, HotToken>();
  readonly joins = new Map<number, HotJoin>();
  /** JSON text of the input of the next round, by latch. */
  readonly inputs = new Map<number, string>();
  /** Round by latch, `e…` after the loop ended. */
  readonly rounds = new Map<number, string>();
  /** Answers to the last wait of a node: field `a<node>`. */
  readonly answers = new Map<number, string>();
  /** Waits that are over: field `w<node>`. */
  readonly over = new Map<number, string>();
  /** Inputs given by hand: field `o<node>`. */
  readonly edited = new Map<number, string>();
  readonly signals = new HotSignals();
  /** Of map nodes: what is there until their results are collected. */
  readonly maps = new Map<number, HotMap>();
  /** Tolerated failures of completed maps: "<scope>|<JSON>". */
  readonly mapErrors = new Map<number, string>();
  /** Scope of the map's last token, by map. */
  readonly mapScopes = new Map<number, string>();
  /** In an element of a map: JSON text. */
  item: string | null = null;
  status: "running" | "paused" | "finishing" | "completed" | "failed" | "cancelled" = "running";
  /** Why it is paused: r its own pause, w its workflow's; "" it is not. */
  pauseCauses = "";
  /** Nodes that failed unhandled under `failure: continue`, in that order. */
  readonly failed: number[] = [];
  startedMs = 0;
  readonly #planner: Planner;

  constructor(ir: Ir, planner = new Planner(ir)) {
    this.ir = ir;
    this.#planner = planner;
  }

  apply(t: Transition, tMs: number): void {
    // Signals are the run's, whichever element of a map waits for them.
    this.signals.apply(t, t.m);
    if (t.m !== undefined) {
      this.#inside(t.m, t, tMs);
      return;
    }
    const node = t.n ?? -1;
    const scope = t.s ?? "";
    switch (t.e) {
      case "run.started":
        this.start(tMs, t.st);
        break;
      case "node.completed":
        this.#set(node, scope, "c", t.a ?? 1, JSON.stringify(t.o ?? null));
        if (t.errs !== undefined) {
          this.mapErrors.set(node, `${scope}|${JSON.stringify(t.errs)}`);
        }
        if (t.x !== undefined && !(t.x === "" && this.#isAgain(node))) {
          this.#effects(this.#planner.end(node, t.x, this.#isLatch(node)), scope);
        }
        break;
      case "node.failed":
        this.#set(node, scope, "f", t.a ?? 1, JSON.stringify(t.err ?? null));
        this.#failed(t, node, scope);
        break;
      case "node.retrying":
        this.#wait(node, "r", (t.a ?? 1) + 1, { kind: "emit", dueMs: t.due ?? tMs });
        break;
      case "node.parked":
        this.#park(t, node, tMs);
        break;
      case "node.activated":
        this.#activated(t, node, scope);
        break;
      case "node.resumed":
        this.#answered(t, node, scope);
        break;
      case "child.started":
        this.over.set(node, waitOver(t.a ?? 1, scope, t.ch));
        break;
      case "approval.decided":
        this.#decision(node, t.v as Decision);
        break;
      case "node.skipped":
        this.#set(node, scope, "s", t.a ?? 1, t.v === "X" ? "X" : "D");
        this.#effects(this.#planner.spread(node, scope, t.v === "X" ? "X" : "D"), scope);
        break;
      case "node.cancelled":
      case "join.decided":
        this.#decided(t, node, scope);
        break;
      case "loop.round":
        this.#round(t, node, scope, tMs);
        break;
      case "run.redriven":
        this.status = "running";
        this.pauseCauses = "";
        this.startedMs = tMs;
        restore(this, t.rd as Redriven);
        break;
      case "map.expanded":
      case "map.started":
      case "map.element":
      case "map.gather":
        this.#map(t, node);
        break;
      default:
        this.#run(t);
    }
  }

  #inside(home: string, { m: _, ...own }: Transition, tMs: number): void {
    this.element(home)?.apply(own, tMs);
  }

  /** The state of an element by its home; undefined if none of that name is in flight. */
  element(home: string): HotState | undefined {
    const [, before = "", node = "", index = "", , rest] =
      /^(.*?)(\d+)#(\d+)(\/(.*))?$/.exec(home) ?? [];
    const map = this.maps.get(Number(node));
    if (map?.scope !== before.replace(/\/$/, "")) {
      return undefined;
    }
    const element = map.elements.get(Number(index));
    return rest === undefined ? element : element?.element(rest);
  }

  #map(t: Transition, node: number): void {
    if (t.e === "map.expanded" && (t.from ?? 0) === 0) {
      const body = this.ir.nodes[node]?.body as Ir;
      this.maps.set(node, new HotMap(t, body, (item) => startedElement(body, item)));
      this.mapScopes.set(node, t.s ?? "");
    }
    const map = this.maps.get(node);
    if (t.e === "map.expanded") {
      map?.add(t);
    } else if (t.e === "map.started") {
      map?.start(t.to ?? 0);
      const timer = t.due === undefined ? {} : { timer: { kind: "map" as const, dueMs: t.due } };
      this.#change(node, { state: "m", ...timer });
    } else if (t.e === "map.element") {
      map?.end(t);
    } else {
      this.#change(node, { state: "g", timer: null });
      if (map !== undefined) {
        map.failure = t.fail ?? null;
        map.elements.clear();
      }
    }
  }

  #change(node: number, change: Partial<HotToken>): void {
    const token = this.tokens.get(node);
    if (token !== undefined) {
      this.tokens.set(node, { ...token, ...change });
    }
  }

  #run(t: Transition): void {
    if (t.e === "run.paused" || t.e === "run.resumed") {
      this.pauseCauses = t.ps ?? "";
      this.status = this.pauseCauses === "" ? "running" : "paused";
      return;
    }
    if (t.e === "run.finishing" || t.e === "element.finishing") {
      this.status = "finishing";
    } else if (t.e === "run.completed" || t.e === "run.failed" || t.e === "run.cancelled") {
      this.status = t.e.slice("run.".length) as "completed" | "failed" | "cancelled";
    }
  }

  /** Activates the entry nodes, or begins with these fields. */
  start(tMs: number, fields?: { readonly [field: string]: string }): void {
    this.startedMs = tMs;
    if (fields !== undefined) {
      restoreFields(this, fields);
      return;
    }
    this.ir.analysis.roots.forEach((root) => this.#enter(root, "", entrySuffix(this.ir, root)));
  }

  /** Tokens in flight at top level: what the counter of the run, or the element, is. */
  get counter(): number {
    let count = 0;
    for (const token of this.tokens.values()) {
      count += token.scope === "" && "arwkmg".includes(token.state) ? 1 : 0;
    }
    for (const join of this.joins.values()) {
      count += join.scope === "" && join.live > 0 ? join.live : 0;
    }
    for (const [latch, round] of this.rounds) {
      const outer = loopChain(this.ir, latch).length === 1;
      count += outer && !round.startsWith("e") ? 1 : 0;
    }
    return count;
  }

  /** Whether the rounds that a token of this scope belongs to are alive. */
  isCurrent(scope: string): boolean {
    const elements = scope === "" ? [] : scope.split("/");
    return elements.every((element, i) => {
      const latch = Number(element.split(":")[0]);
      return this.rounds.get(latch) === elements.slice(0, i + 1).join("/");
    });
  }

  #isLatch(node: number): boolean {
    return this.ir.nodes[node]?.latch_of !== null;
  }

  /** A latch without out-edges writes "" for its edges when it leaves, too; loop.round follows. */
  #isAgain(node: number): boolean {
    return this.#isLatch(node) && (this.ir.nodes[node]?.out.length ?? 0) > 0;
  }

  #set(
    node: number,
    scope: string,
    state: TokenRecord["state"],
    attempt: number,
    rest: string,
  ): void {
    this.tokens.set(node, { state, attempt, scope, rest, timer: null, isResumed: false });
    if ("cfx".includes(state)) {
      this.maps.delete(node);
    }
  }

  #wait(
    node: number,
    state: "r" | "w",
    attempt: number,
    timer: HotTimer | null,
    circuit?: string,
  ): void {
    const token = this.tokens.get(node);
    if (token !== undefined) {
      this.tokens.set(node, { ...token, state, attempt, timer, circuit });
    }
  }

  #resume(node: number, isResumed: boolean, attempt?: number): void {
    const token = this.tokens.get(node);
    this.maps.delete(node); // settled by hand: its elements are void
    if (token !== undefined) {
      const tried = attempt ?? token.attempt;
      this.tokens.set(node, { ...token, state: "a", attempt: tried, timer: null, isResumed });
    }
  }

  /** Its timer has fired, or it is tried again by hand, on another input perhaps. */
  #activated({ v, a }: Transition, node: number, scope: string): void {
    this.#resume(node, false, a);
    const { input } = typeof v === "object" ? (v as Partial<ManualAnswer>) : {};
    if (input !== undefined) {
      this.edited.set(node, editedInput(scope, input));
    }
  }

  #park(t: Transition, node: number, tMs: number): void {
    const { due, circuit } = t;
    if (circuit !== undefined) {
      this.#wait(node, "r", t.a ?? 1, { kind: "emit", dueMs: due ?? tMs }, circuit);
      this.over.delete(node); // it begins anew
      return;
    }
    if (typeof t.w !== "object") {
      this.#wait(node, "w", t.a ?? 1, { kind: "resume", dueMs: due ?? tMs });
      return;
    }
    this.#wait(node, "w", t.a ?? 1, due === undefined ? null : { kind: "expire", dueMs: due });
    this.over.delete(node);
    const token = this.tokens.get(node);
    if (token !== undefined) {
      token.wait = t.w;
    }
  }

  #answered(t: Transition, node: number, scope: string): void {
    const { wait } = this.tokens.get(node) ?? {};
    const answer = t.v as WaitAnswer | undefined;
    if (answer?.kind === "callback") {
      this.#answer(node, wait, `${JSON.stringify(answer.id)}\x1ec\x1e`);
    }
    this.#resume(node, true, t.a);
    const child = wait?.kind === "child" ? wait.run : lastChild(this.over.get(node), scope);
    this.over.set(node, waitOver(t.a ?? 1, scope, child));
    const token = this.tokens.get(node);
    if (token !== undefined && answer !== undefined) {
      delete token.wait;
      if (answer.kind === "manual" && answer.action === "skip") {
        this.#set(node, scope, "k", token.attempt, "D");
      } else {
        token.answer = answer;
      }
    }
  }

  #decision(node: number, decision: Decision): void {
    const mode = decision.approved ? "1" : "0";
    const text = `${JSON.stringify(decision.actor)}\x1e${mode}\x1e${JSON.stringify(decision)}`;
    this.#answer(node, this.tokens.get(node)?.wait, text);
  }

  #answer(node: number, wait: WaitInfo | undefined, answer: string): void {
    const secret = parseWaitToken(wait?.token ?? "")?.secret ?? "";
    const before = this.answers.get(node);
    const others = before?.startsWith(`${secret}\x1f`) === true ? before : secret;
    this.answers.set(node, `${others}\x1f${answer}`);
  }

  #failed(t: Transition, node: number, scope: string): void {
    const edges = t.x ?? "";
    const isHandled = edges.includes("L");
    const hasEdges = (this.ir.nodes[node]?.out.length ?? 0) > 0;
    const isFatal = this.ir.settings.failure === "fail_fast" || (edges === "" && hasEdges);
    if (!isHandled && isFatal) {
      return; // the run ends with it
    }
    if (!isHandled && !this.failed.includes(node)) {
      this.failed.push(node);
    }
    this.#effects(this.#planner.end(node, edges, this.#isLatch(node)), scope);
  }

  #enter(node: number, scope: string, suffix: string, arrivals = ""): void {
    const full = scopeJoin(scope, suffix);
    const depth = scope === "" ? 0 : scope.split("/").length;
    const elements = full === "" ? [] : full.split("/");
    for (let i = depth; i < elements.length; i++) {
      const latch = Number(elements[i]?.split(":")[0]);
      this.rounds.set(latch, elements.slice(0, i + 1).join("/"));
    }
    this.#set(node, full, "a", 1, arrivals);
  }

  #effects(plan: EffectPlan, scope: string): void {
    for (let at = 0; at < plan.plain.length; at += 2) {
      this.#enter(Number(plan.plain[at]), "", "");
    }
    for (let at = 0; at < plan.args.length; at += EFFECT_FIELDS) {
      const [type, node, depth, suffix, , position, , arity] = plan.args.slice(
        at,
        at + EFFECT_FIELDS,
      );
      const within = scopePrefix(scope, Number(depth));
      if (type === "T" || type === "F") {
        this.#enter(Number(node), within, suffix ?? "");
      } else if (type === "E") {
        this.rounds.set(Number(node), `e${within}`);
      } else if (type === "L" || type === "D" || type === "X") {
        this.#arrive(Number(node), within, type, Number(position), Number(arity));
      }
    }
  }

  #arrive(node: number, scope: string, value: string, position: number, arity: number): void {
    const join = this.#join(node, scope, arity);
    if (join.live < 0) {
      return;
    }
    join.arrivals = join.arrivals.slice(0, position) + value + join.arrivals.slice(position + 1);
    join.decided += 1;
    join.live += value === "L" ? 1 : 0;
    join.failed += value === "X" ? 1 : 0;
  }

  #join(node: number, scope: string, arity: number): HotJoin {
    let join = this.joins.get(node);
    if (join?.scope !== scope) {
      join = { scope, live: 0, decided: 0, failed: 0, arrivals: ".".repeat(arity) };
      this.joins.set(node, join);
    }
    return join;
  }

  /** A join, and what it cancels when it is decided. */
  #decided(t: Transition, node: number, scope: string): void {
    if (t.e === "node.cancelled") {
      this.#cancelled(t, node, scope);
      return;
    }
    const join = this.#join(node, scope, this.ir.nodes[node]?.join.arity ?? 0);
    // As it stood when the join was decided: the step that decided it may have brought more.
    join.arrivals = t.in ?? join.arrivals;
    join.decided = join.arrivals.replaceAll(".", "").length;
    join.failed = join.arrivals.split("X").length - 1;
    join.live = -1;
    const sent = t.v === "failed" ? "X" : "D";
    if (t.v === "cancelled") {
      return; // what it leads to is cancelled with it
    }
    if (t.v === "fired") {
      this.#enter(node, scope, entrySuffix(this.ir, node), t.in ?? "");
    } else if (t.k === 1) {
      this.#set(node, scope, "k", 1, sent);
    } else {
      this.#effects(this.#planner.skip(node, sent), scope);
    }
  }

  /** Of a loop only its latch is named, without an attempt: it ends as a whole. */
  #cancelled(t: Transition, node: number, scope: string): void {
    if (t.a === undefined) {
      this.rounds.set(node, `e${scope}`);
    } else {
      this.#set(node, scope, "x", t.a, "");
    }
  }

  #round(t: Transition, head: number, scope: string, tMs: number): void {
    const depth = loopChain(this.ir, head).length - (this.ir.nodes[head]?.head_of.length ?? 0);
    const outside = scopePrefix(scope, depth);
    const latch = this.#gone(scope, depth);
    this.inputs.set(latch, this.tokens.get(latch)?.rest ?? "null");
    this.#enter(head, outside, outside === "" ? scope : scope.slice(outside.length + 1));
    if ((t.due ?? 0) > tMs) {
      this.#wait(head, "r", 1, { kind: "emit", dueMs: t.due as number });
    }
  }

  /** The latch that went round: of loops that share a head the innermost past its first round. */
  #gone(scope: string, depth: number): number {
    const elements = scope.split("/").slice(depth).reverse();
    const [latch] = (elements.find((e) => !e.endsWith(":1")) ?? elements[0] ?? "-1").split(":");
    return Number(latch);
  }
}

/** Planners of map bodies: what one has worked out serves all elements. */
const planners = new WeakMap<Ir, Planner>();

function startedElement(body: Ir, item: string): HotState {
  const planner = planners.get(body) ?? new Planner(body);
  planners.set(body, planner);
  const element = new HotState(body, planner);
  element.item = item;
  element.start(0);
  return element;
}
