/**
 * One state machine: the states, the ways between them, and its cycles as loops.
 *
 * The machine is at one state at a time, a native graph is not; so of the edges into a node exactly
 * one is live, and a loop is left by its last node only. Whatever leaves a cycle, or goes back to
 * its head, leads to a marker inside the loop instead, and all markers to the loop node: that goes
 * round if the way back was taken, and a node behind it leads on by the marker that was reached.
 */
import { own } from "../../document.ts";
import { LOOP_DEPTH_MAX } from "../../limits.ts";
import type { JsonObject } from "../../document.ts";
import { joinPointer } from "../../source-map.ts";
import { reportAt } from "../front-end.ts";
import { inputConfig } from "./builder.ts";
import type { EdgeMore, Handle } from "./builder.ts";
import { outputOf } from "./cel.ts";
import { findCycles } from "./cycles.ts";
import type { Cycle } from "./cycles.ts";
import { emitState } from "./emit.ts";
import { END } from "./scope.ts";
import type { MachineScope, StateSource, Target } from "./scope.ts";
import { readTargets } from "./targets.ts";
import { checkMachine } from "./validate.ts";

interface Way {
  from: Handle;
  state: string;
  target: Target;
  more: EdgeMore;
  pointer: string;
}

interface Loop {
  cycle: Cycle;
  max: number;
  pointer: string;
  parent: Loop | null;
  markers: Map<Target, Handle>;
  /** Ways into the head from outside. */
  entries: { from: Handle; more: EdgeMore; pointer: string }[];
  latch: Handle | undefined;
}

class Machine {
  readonly scope: MachineScope;
  readonly #pointer: string;
  readonly #start: string;
  readonly #states: Map<string, StateSource>;
  readonly #firsts = new Map<string, Handle>();
  readonly #ways: Way[] = [];
  readonly #loops: Loop[] = [];
  readonly #innermost = new Map<string, Loop>();
  readonly #exits: Handle[] = [];

  /** `source` is an object with StartAt and States. */
  constructor(source: JsonObject, pointer: string, scope: MachineScope) {
    this.scope = scope;
    this.#pointer = pointer;
    const start = own(source, "StartAt");
    this.#start = typeof start === "string" ? start : "";
    this.#states = checkMachine(source, pointer, scope);
  }

  /**
   * Emit everything; gives the nodes at which the machine ends. `before` leads into it, none does
   * into the whole workflow.
   */
  emit(before: Handle | null): Handle[] {
    this.#findLoops();
    for (const source of this.#states.values()) this.#emitState(source);
    for (const way of this.#ways) {
      this.#route(
        way.from,
        this.#innermost.get(way.state) ?? null,
        way.target,
        way.more,
        way.pointer,
      );
    }
    if (before && this.#states.has(this.#start)) {
      this.#route(before, null, this.#start, {}, joinPointer(this.#pointer, "StartAt"));
    }
    for (const loop of this.#loops.toReversed()) this.#closeLoop(loop);
    return this.#exits;
  }

  #emitState(source: StateSource): void {
    const first = emitState(source, this.scope, {
      goTo: (from, target, pointer, more = {}) =>
        this.#ways.push({ from, state: source.name, target, more, pointer }),
    });
    this.#firsts.set(source.name, first);
  }

  #findLoops(): void {
    const names = [...this.#states.keys()];
    const successors = (name: string): string[] => {
      const source = this.#states.get(name);
      if (!source) return [];
      return readTargets(source.state, source.pointer).map(({ target }) => target);
    };
    const { cycles, tangles, tooDeep } = findCycles(names, successors, this.#start);
    if (tooDeep !== undefined) {
      const message = `more than ${LOOP_DEPTH_MAX} cycles inside one another`;
      reportAt(this.scope.context, "GV2017", this.#pointerOf(tooDeep), message);
    }
    for (const { states, entries } of tangles) {
      const shown = entries.map((name) => `\`${name}\``).join(" and ");
      const message = `the cycle of ${states.join(", ")} is entered at ${shown}: a loop has one entry`;
      const hint = "lead all ways into the cycle through one of its states";
      reportAt(this.scope.context, "GV5004", this.#pointerOf(entries[0] ?? ""), message, hint);
    }
    for (const cycle of cycles) {
      const parent = this.#loops.find((loop) => loop.cycle === cycle.parent) ?? null;
      const pointer = this.#pointerOf(cycle.head);
      const loop: Loop = {
        ...{ cycle, parent, pointer, markers: new Map(), entries: [], latch: undefined },
        max: this.#boundOf(cycle, cycles),
      };
      this.#loops.push(loop);
      for (const name of cycle.states) this.#innermost.set(name, loop);
    }
  }

  /** `max_iterations: n` in the Comment of a state of the cycle, not of one inside it. */
  #boundOf(cycle: Cycle, cycles: readonly Cycle[]): number {
    const inner = cycles.filter(({ parent }) => parent === cycle);
    const bounds = [...cycle.states].flatMap((name) => {
      if (inner.some(({ states }) => states.has(name))) return [];
      const comment = own(this.#states.get(name)?.state ?? {}, "Comment");
      const match = typeof comment === "string" ? BOUND.exec(comment) : null;
      return match && Number(match[1]) >= 1 ? [Number(match[1])] : [];
    });
    if (bounds.length > 0) return Math.min(...bounds);
    const shown = [...cycle.states].join(" -> ");
    const message = `the cycle ${shown} -> ${cycle.head} has no bound: nothing would end it`;
    const hint =
      `write the bound into the Comment of a state in it, e.g. of \`${cycle.head}\`: ` +
      '"Comment": "max_iterations: 20"';
    reportAt(this.scope.context, "GV5004", this.#pointerOf(cycle.head), message, hint);
    return 1;
  }

  #pointerOf(name: string): string {
    return this.#states.get(name)?.pointer ?? this.#pointer;
  }

  /** Lead a way on, from a node in `loop`. */
  #route(from: Handle, loop: Loop | null, target: Target, more: EdgeMore, pointer: string): void {
    const { builder } = this.scope;
    const isInside =
      !loop || (target !== END && loop.cycle.states.has(target) && target !== loop.cycle.head);
    if (!isInside) return builder.edge(from, this.#marker(loop, target), pointer, more);
    if (target === END) return this.#exit(from, more, pointer);
    const entered = this.#loops.find(
      (other) => other.cycle.head === target && other.parent === loop,
    );
    if (entered) {
      entered.entries.push({ from, more, pointer });
      return;
    }
    const first = this.#firsts.get(target);
    if (first) builder.edge(from, first, pointer, more);
  }

  #exit(from: Handle, more: EdgeMore, pointer: string): void {
    if (more.condition === undefined && more.on === undefined) {
      this.#exits.push(from);
      return;
    }
    const end = this.scope.builder.pass(this.scope.ids.take(`${from.id}_end`), pointer);
    this.scope.builder.edge(from, end, pointer, more);
    this.#exits.push(end);
  }

  /** The node in the body that stands for going to `target`. */
  #marker(loop: Loop, target: Target): Handle {
    const known = loop.markers.get(target);
    if (known) return known;
    const { builder, ids } = this.scope;
    const head = this.#states.get(loop.cycle.head)?.id ?? "loop";
    const isBack = target === loop.cycle.head;
    const name = target === END ? "end" : (this.#states.get(target)?.id ?? "state");
    const marker = builder.pass(
      ids.take(isBack ? `${head}_again` : `${head}_to_${name}`),
      loop.pointer,
    );
    loop.markers.set(target, marker);
    builder.edge(marker, this.#latch(loop, head), loop.pointer);
    return marker;
  }

  #latch(loop: Loop, head: string): Handle {
    if (loop.latch) return loop.latch;
    const { builder, ids } = this.scope;
    loop.latch = builder.node(ids.take(`${head}_loop`), loop.pointer, (input) => {
      const back = loop.markers.get(loop.cycle.head)?.id ?? "";
      return {
        type: "loop",
        config: {
          condition: `has(${outputOf(back)})`,
          max_iterations: loop.max,
          loop_back_to: this.#firsts.get(loop.cycle.head)?.id ?? "",
          ...inputConfig(input).config,
        },
      };
    });
    return loop.latch;
  }

  /** The ways into the head, and those behind the loop. */
  #closeLoop(loop: Loop): void {
    const { builder, ids } = this.scope;
    const head = this.#firsts.get(loop.cycle.head);
    if (head) this.#enterLoop(loop, head);
    // In an order that does not depend on the file's.
    const exits = [...loop.markers]
      .filter(([target]) => target !== loop.cycle.head)
      .toSorted(([, a], [, b]) => (a.id < b.id ? -1 : 1));
    if (!loop.latch || exits.length === 0) return;
    const [only] = exits;
    if (only && exits.length === 1) {
      return this.#route(loop.latch, loop.parent, only[0], {}, loop.pointer);
    }
    const name = this.#states.get(loop.cycle.head)?.id ?? "loop";
    const router = builder.node(ids.take(`${name}_next`), loop.pointer, (input) => ({
      type: "conditional",
      ...inputConfig(input),
    }));
    builder.edge(loop.latch, router, loop.pointer);
    exits.forEach(([target, marker], i) => {
      const isLast = i === exits.length - 1;
      const more = isLast ? {} : { condition: `has(${outputOf(marker.id)})` };
      this.#route(router, loop.parent, target, more, loop.pointer);
    });
  }

  /** Only one edge may lead to the head: from the second round on its input comes from the latch. */
  #enterLoop(loop: Loop, head: Handle): void {
    const { builder, ids } = this.scope;
    const isSingle = loop.entries.length <= 1;
    const place = isSingle ? head : builder.pass(ids.take(`${head.id}_enter`), loop.pointer);
    for (const { from, more, pointer } of loop.entries) builder.edge(from, place, pointer, more);
    if (!isSingle) builder.edge(place, head, loop.pointer);
  }
}

const BOUND = /\bmax_iterations\s*[:=]\s*(\d+)/;

/** Emit a machine: see `MachineScope.emitInner`. */
export function emitMachine(
  source: JsonObject,
  pointer: string,
  scope: MachineScope,
  before: Handle | null,
): Handle[] {
  return new Machine(source, pointer, scope).emit(before);
}
