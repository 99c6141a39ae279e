/**
 * Other orders of what could happen at the same time: does the outcome depend on it?
 *
 * An order is the sequence in which attempts end. Wherever several could be next the run is played
 * again with each of them, so `all` sees every order exactly once; there may be very many, and then
 * it says that it was cut. Work takes no time here: what is asked is what the workflow allows, not
 * what is likely.
 */
import type { Ir, Json } from "../../compiler/index.ts";
import { interpret, seededOrder } from "../../compiler/reference/index.ts";
import type {
  InterpretResult,
  ReadyToken,
  Scheduler,
  TraceStep,
} from "../../compiler/reference/index.ts";
import { RUN_ID, runOptions, sceneOf, type Scene, type SimulateOptions } from "./simulate.ts";

export interface Outcome {
  status: string;
  output: Json;
  error: string | null;
  /** How many orders ended so. */
  count: number;
  /** The first of them: attempts in the order of their ends. */
  order: string[];
  trace: TraceStep[];
}

export interface Interleavings {
  outcomes: Outcome[];
  /** Different orders that were played. */
  tried: number;
  /** All that there are. */
  isComplete: boolean;
  /** How many attempts the first orders of the first two outcomes have in common at their beginning. */
  parting: number | null;
}

/** Orders that are played at most. */
export const ORDERS_MAX = 5000;

/** Plays all orders, up to `ordersMax`, or `count` random ones by the seed. */
export function interleave(
  ir: Ir,
  input: Json,
  options: SimulateOptions,
  count: number | "all",
  ordersMax: number = ORDERS_MAX,
): Interleavings {
  const scene = sceneOf(ir, options);
  const player = new Player(ir, input, scene, options);
  let isComplete = false;
  if (count === "all") {
    isComplete = playAll(player, ordersMax);
  } else {
    for (let i = 0; i < count; i++) player.play(seededOrder(options.seed + i));
  }
  const { outcomes, tried } = player;
  const [first, second] = outcomes;
  const parting = first && second ? commonBeginning(first.order, second.order) : null;
  return { outcomes, tried, isComplete, parting };
}

/** Depth first over the choices: each run follows `next` as far as it goes, and then the first. */
function playAll(player: Player, ordersMax: number): boolean {
  let next: number[] | null = [];
  while (next !== null) {
    if (player.tried === ordersMax) return false;
    const choices: number[] = [];
    const widths: number[] = [];
    const given: readonly number[] = next;
    player.play((ready) => {
      const at = given[choices.length] ?? 0;
      choices.push(at);
      widths.push(ready.length);
      return at;
    });
    next = following(choices, widths);
  }
  return true;
}

/** The next sequence of choices in order; null after the last. */
function following(choices: readonly number[], widths: readonly number[]): number[] | null {
  for (let i = choices.length - 1; i >= 0; i--) {
    if ((choices[i] ?? 0) + 1 < (widths[i] ?? 0)) {
      return [...choices.slice(0, i), (choices[i] ?? 0) + 1];
    }
  }
  return null;
}

class Player {
  readonly #play: (order: Scheduler) => InterpretResult;
  readonly #outcomes = new Map<string, Outcome>();
  readonly #orders = new Set<string>();

  constructor(ir: Ir, input: Json, scene: Scene, { start }: SimulateOptions) {
    const options = {
      ...runOptions(scene, RUN_ID),
      ...(start === undefined ? {} : { start }),
    };
    this.#play = (order) => interpret(ir, input, { ...options, order });
  }

  get outcomes(): Outcome[] {
    return [...this.#outcomes.values()];
  }

  get tried(): number {
    return this.#orders.size;
  }

  /** One that was played before does not count again. */
  play(choose: Scheduler): void {
    const order: string[] = [];
    const { status, output, error, trace } = this.#play((ready, waiting) => {
      const at = choose(ready, waiting);
      const token = ready[at];
      if (token !== undefined) order.push(nameOf(token));
      return at;
    });
    const name = order.join("\n");
    if (this.#orders.has(name)) return;
    this.#orders.add(name);
    const said = error === undefined ? null : `${error.code}: ${error.message}`;
    const key = JSON.stringify([status, output, said]);
    const known = this.#outcomes.get(key);
    if (known !== undefined) known.count += 1;
    else this.#outcomes.set(key, { status, output, error: said, count: 1, order, trace });
  }
}

/** One attempt: the node, where it is, and which attempt if not the first. */
function nameOf({ node, home, scope, attempt }: ReadyToken): string {
  const place = [home, scope].filter((part) => part !== "").join(" ");
  const inside = place === "" ? node : `${node} [${place}]`;
  return attempt === 1 ? inside : `${inside} attempt ${attempt}`;
}

function commonBeginning(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((name, i) => name !== b[i]);
  return at < 0 ? a.length : at;
}
