/**
 * Folding a unit's journal back into its hot state: the hash that Redis had (20 §9.4).
 *
 * It mirrors scripts/include/complete_plan.lua, with one difference: joins are not decided here,
 * the journal says how they were. Used to rebuild runs after Redis was lost, and by the tests that
 * compare the fold with the real hash after every transition.
 *
 * Here is what each transition does, and how tokens go on along the edges; what a kind of field
 * holds is kept by hot-tokens.ts, hot-joins.ts, hot-rounds.ts, hot-waits.ts, hot-map.ts and
 * hot-signals.ts.
 */
import type { Ir } from "../compiler/ir.ts";
import { HotJoins } from "./hot-joins.ts";
import { HotMap } from "./hot-map.ts";
import { restore, restoreFields } from "./hot-restore.ts";
import { HotRounds, latchGone } from "./hot-rounds.ts";
import { HotSignals } from "./hot-signals.ts";
import { HotTokens } from "./hot-tokens.ts";
import { activate, keepDecision, park, resume } from "./hot-waits.ts";
import type { Redriven, Transition } from "./journal.ts";
import { Planner, type EffectPlan } from "./plan.ts";
import { entrySuffix, loopChain, scopeJoin, scopePrefix } from "./scope.ts";
import { waitOver, type Decision } from "./waits.ts";

const EFFECT_FIELDS = 8;

export class HotState {
  readonly ir: Ir;
  /** Of map nodes: what is there until their results are collected. */
  readonly maps = new Map<number, HotMap>();
  readonly tokens = new HotTokens(this.maps);
  readonly joins = new HotJoins();
  /** JSON text of the input of the next round, by latch. */
  readonly inputs = new Map<number, string>();
  /** Round by latch, `e…` after the loop ended. */
  readonly rounds = new HotRounds();
  /** Answers to the last wait of a node: field `a<node>`. */
  readonly answers = new Map<number, string>();
  /** Waits that are over: field `w<node>`. */
  readonly over = new Map<number, string>();
  /** Inputs given by hand: field `o<node>`. */
  readonly edited = new Map<number, string>();
  readonly signals = new HotSignals();
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
        this.tokens.put(node, scope, "c", t.a ?? 1, JSON.stringify(t.o ?? null));
        if (t.errs !== undefined) {
          this.mapErrors.set(node, `${scope}|${JSON.stringify(t.errs)}`);
        }
        if (t.x !== undefined && !(t.x === "" && this.#isAgain(node))) {
          this.#effects(this.#planner.end(node, t.x, this.#isLatch(node)), scope);
        }
        break;
      case "node.failed":
        this.tokens.put(node, scope, "f", t.a ?? 1, JSON.stringify(t.err ?? null));
        this.#failed(t, node, scope);
        break;
      case "node.retrying":
        this.tokens.wait(node, "r", (t.a ?? 1) + 1, { kind: "emit", dueMs: t.due ?? tMs });
        break;
      case "node.parked":
        park(this, t, node, tMs);
        break;
      case "node.activated":
        activate(this, t, node, scope);
        break;
      case "node.resumed":
        resume(this, t, node, scope);
        break;
      case "child.started":
        this.over.set(node, waitOver(t.a ?? 1, scope, t.ch));
        break;
      case "approval.decided":
        keepDecision(this, node, t.v as Decision);
        break;
      case "node.skipped":
        this.tokens.put(node, scope, "s", t.a ?? 1, t.v === "X" ? "X" : "D");
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
      this.tokens.change(node, { state: "m", ...timer });
    } else if (t.e === "map.element") {
      map?.end(t);
    } else {
      this.tokens.change(node, { state: "g", timer: null });
      map?.gather(t.fail ?? null);
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
    return this.tokens.inFlight + this.joins.waiting + this.rounds.open(this.ir);
  }

  /** Whether the rounds that a token of this scope belongs to are alive. */
  isCurrent(scope: string): boolean {
    return this.rounds.isCurrent(scope);
  }

  #isLatch(node: number): boolean {
    return this.ir.nodes[node]?.latch_of !== null;
  }

  /** A latch without out-edges writes "" for its edges when it leaves, too; loop.round follows. */
  #isAgain(node: number): boolean {
    return this.#isLatch(node) && (this.ir.nodes[node]?.out.length ?? 0) > 0;
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
    this.rounds.begin(full, depth);
    this.tokens.put(node, full, "a", 1, arrivals);
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
        this.rounds.end(Number(node), within);
      } else if (type === "L" || type === "D" || type === "X") {
        this.joins.arrive(Number(node), within, type, Number(position), Number(arity));
      }
    }
  }

  /** A join, and what it cancels when it is decided. */
  #decided(t: Transition, node: number, scope: string): void {
    if (t.e === "node.cancelled") {
      this.#cancelled(t, node, scope);
      return;
    }
    this.joins.decide(node, scope, t.in, this.ir.nodes[node]?.join.arity ?? 0);
    const sent = t.v === "failed" ? "X" : "D";
    if (t.v === "cancelled") {
      return; // what it leads to is cancelled with it
    }
    if (t.v === "fired") {
      this.#enter(node, scope, entrySuffix(this.ir, node), t.in ?? "");
    } else if (t.k === 1) {
      this.tokens.put(node, scope, "k", 1, sent);
    } else {
      this.#effects(this.#planner.skip(node, sent), scope);
    }
  }

  /** Of a loop only its latch is named, without an attempt: it ends as a whole. */
  #cancelled(t: Transition, node: number, scope: string): void {
    if (t.a === undefined) {
      this.rounds.end(node, scope);
    } else {
      this.tokens.put(node, scope, "x", t.a, "");
    }
  }

  #round(t: Transition, head: number, scope: string, tMs: number): void {
    const depth = loopChain(this.ir, head).length - (this.ir.nodes[head]?.head_of.length ?? 0);
    const outside = scopePrefix(scope, depth);
    const latch = latchGone(scope, depth);
    this.inputs.set(latch, this.tokens.get(latch)?.rest ?? "null");
    this.#enter(head, outside, outside === "" ? scope : scope.slice(outside.length + 1));
    if ((t.due ?? 0) > tMs) {
      this.tokens.wait(head, "r", 1, { kind: "emit", dueMs: t.due as number });
    }
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
