/**
 * The reference interpreter: what a workflow means, without a queue, a counter or Redis.
 *
 * One process, one token at a time. The world is a set of ready tokens; executing one gives a
 * result, and its graph (graph-run.ts) makes of that the tokens that follow. Elements of maps
 * (map-run.ts) and child runs are graphs inside a token, which goes on when they have ended.
 * Nothing here is shared with the engine's planning, so that each can find the other's mistakes; and
 * it is what `gavotte simulate` runs.
 *
 * Without a stage work takes no time: a retry or a delay makes its token ready again at once, and a
 * worker's time limit is a failure that a handler reports. Only waiting takes time, on a clock that
 * moves when there is nothing else to do (agenda.ts). A stage has time, and says when each attempt is
 * done; several runs can be on one, and compete for what it has.
 */
import type { Vars } from "../../condition/index.ts";
import type { Ir, IrNode, Json } from "../ir.ts";
import { Agenda } from "./agenda.ts";
import type { Calendar } from "./agenda.ts";
import { nodeAt } from "./data.ts";
import { GraphRun } from "./graph-run.ts";
import type { GraphPlace, Outcome, RunPlace, Token } from "./graph-run.ts";
import { beginChild, beginMap, runVars } from "./inside.ts";
import type { Inside } from "./inside.ts";
import { firstCome } from "./order.ts";
import { Parking } from "./parking.ts";
import { prepare } from "./prepare.ts";
import { fittingResult, inputProblem } from "./schemas.ts";
import { runResult } from "./result.ts";
import { startingNow } from "./run-clock.ts";
import { planStart } from "./start-at.ts";
import { limitRun, limitWait } from "./time-limits.ts";
import { StepLimitError } from "./types.ts";
import type {
  ByHand,
  HandlerContext,
  HandlerResult,
  InterpretOptions,
  InterpretResult,
  Scheduler,
  Stage,
} from "./types.ts";

const STEPS_MAX = 100_000;
/** Kinds that no handler is asked for. */
const OWN_KINDS: ReadonlySet<string> = new Set(["map", "subworkflow", "wait", "human"]);

const READS_SECRETS: ReadonlySet<string> = new Set(["http", "llm", "emit"]);

/**
 * Run a workflow to its end. The input is taken as valid. Throws StepLimitError, and Error if the
 * IR is broken (an edge into a loop's body, a join that nothing decides), a workflow is missing, or
 * it cannot be started where `start` says (see planStart).
 */
export function interpret(ir: Ir, input: Json, options: InterpretOptions): InterpretResult {
  const agenda = new Agenda();
  const interpreter = new Interpreter(options, agenda);
  interpreter.begin(ir, input);
  return interpreter.result(interpreter.work(agenda));
}

/** A run on a stage. */
export interface StagedRun {
  readonly isOver: boolean;
  /** What is known of it, to be asked once: WAITING if the stage has nothing left to do for it. */
  result(): InterpretResult;
}

/**
 * Begin a run on a stage, whose clock moves it on; times of signals and of the trace count from now.
 * `ended` is called when it has ended. Throws as `interpret`, also from within the stage's calls.
 */
export function interpretOn(
  stage: Stage,
  ir: Ir,
  input: Json,
  options: Omit<InterpretOptions, "order" | "cancelAfter"> & { ended?: () => void },
): StagedRun {
  const interpreter = new Interpreter(options, stage, stage, options.ended);
  interpreter.begin(ir, input);
  return interpreter;
}

class Interpreter implements StagedRun {
  readonly #options: InterpretOptions;
  readonly #place: RunPlace;
  /** Counts from the run's beginning. */
  readonly #agenda: Calendar;
  readonly #stage: Stage | undefined;
  readonly #ended: () => void;
  readonly #parking: Parking;
  #root: GraphRun | undefined;
  #ready: Token[] = [];
  /** Tokens that wait: for somebody, or for the graphs inside them. */
  readonly #waiting = new Set<Token>();
  /** Of the run itself, when it has one. */
  #outcome: Outcome | undefined;
  #steps = 0;
  /** How much of the trace has its time. */
  #stamped = 0;
  readonly #inside: Inside = {
    graph: (ir, place) => this.#graph(ir, place),
    workflow: (ref) => this.#options.workflows?.[ref],
    wait: (token, node) => this.#wait(token, node),
    conclude: (token, result, errors) => this.#conclude(token, result, errors),
    collect: (token, result, errors) => this.#collect(token, result, errors),
    resume: (token, result) => this.#resume(token, result),
    limitRun: (graph) => this.#limitRun(graph),
  };

  constructor(
    options: InterpretOptions,
    calendar: Calendar,
    stage?: Stage,
    ended: () => void = () => {},
  ) {
    this.#options = options;
    const id = options.runId ?? "simulated";
    this.#place = { id, trace: [], elements: new Map() };
    this.#agenda = stage ? this.#fromNow(calendar) : calendar;
    this.#stage = stage;
    this.#ended = ended;
    this.#parking = new Parking(id, this.#agenda);
  }

  get isOver(): boolean {
    return this.#outcome !== undefined;
  }

  begin(ir: Ir, input: Json): void {
    const { start } = this.#options;
    const vars = runVars(ir, this.#place.id, input);
    const plan = start && planStart(ir, start, vars);
    if (plan && "problems" in plan) {
      throw new Error(plan.problems.map(({ message }) => message).join("\n"));
    }
    const root = this.#graph(ir, {
      ...{ run: this.#place, vars, home: "", within: null },
      ended: (outcome) => (this.#outcome = outcome),
    });
    this.#root = root;
    this.#event(() => {
      const resume = (token: Token, result: HandlerResult): void => this.#resume(token, result);
      this.#parking.invite(this.#options, resume);
      this.#limitRun(root);
      if (plan) root.beginAt(plan, input);
      else root.begin(input);
      this.#dropVoid();
    });
  }

  /** Execute tokens until the run has ended or waits for ever; true if it was cancelled before. */
  work(agenda: Agenda): boolean {
    const { order = firstCome, cancelAfter } = this.#options;
    while (!this.#outcome) {
      if (this.#steps === cancelAfter) return true;
      if (this.#ready.length === 0) {
        if (agenda.advance()) continue;
        return false;
      }
      this.#countStep();
      this.#turn(order);
    }
    return false;
  }

  #turn(order: Scheduler): void {
    const waiting = [...this.#waiting];
    const at = order(this.#ready, waiting);
    const token = this.#ready[at] ?? waiting[at - this.#ready.length];
    if (!token) throw new Error("the scheduler picked a token that there is not");
    const byHand = this.#options.byHand?.(token);
    const isReady = this.#ready.splice(at, 1).length > 0;
    if (byHand) return this.#settle(token, byHand);
    if (!isReady) throw new Error(`nobody settles "${token.node}" by hand, and it waits`);
    this.#execute(token);
  }

  /** What somebody says holds, whatever the node's config and schemas say. */
  #settle(token: Token, byHand: ByHand): void {
    this.#waiting.delete(token);
    if (byHand === "retry") return this.#admit({ ...token, attempt: token.attempt + 1 });
    if (byHand === "skip") token.graph.skip(token);
    else token.graph.conclude(token, byHand);
    this.#settled(token);
  }

  result(isCancelled = false): InterpretResult {
    if (!this.#root) throw new Error("the run has not begun");
    const result = runResult(this.#root, this.#outcome, isCancelled);
    this.#stamp();
    return result;
  }

  #countStep(): void {
    const { maxSteps = STEPS_MAX } = this.#options;
    if (this.#steps++ < maxSteps) return;
    const message = `the run has not ended after ${maxSteps} executions of nodes`;
    throw new StepLimitError(`${message}; allow more with maxSteps, or look at its loops`);
  }

  #fromNow(calendar: Calendar): Calendar {
    return startingNow(calendar, {
      isOver: () => this.isOver,
      event: (happen) => this.#event(happen),
    });
  }

  /** Something happens, at one moment, after which the run may have ended. */
  #event(happen: () => void): void {
    if (this.#outcome) return;
    happen();
    this.#stamp();
    if (this.isOver) this.#ended();
  }

  #stamp(): void {
    if (!this.#stage) return;
    const { trace } = this.#place;
    for (const step of trace.slice(this.#stamped)) step.at = this.#agenda.now;
    this.#stamped = trace.length;
  }

  /** A token may be executed: at once, or when the stage has done its work. */
  #admit(token: Token): void {
    this.#ready.push(token);
    if (!this.#stage) return;
    const node = nodeAt(token.graph.ir, token.index);
    this.#stage.perform({
      ...{ run: token.graph.place.run.id, node, token },
      context: () => this.#contextOf(token, node, prepare(token, node).vars),
      isWanted: () => !this.#outcome && this.#ready.includes(token),
      end: (instead) =>
        this.#event(() => {
          const at = this.#ready.indexOf(token);
          if (at < 0) return;
          this.#ready.splice(at, 1);
          this.#countStep();
          if (instead) this.#conclude(token, instead);
          else this.#execute(token);
        }),
    });
  }

  #graph(ir: Ir, place: Omit<GraphPlace, "ready">): GraphRun {
    return new GraphRun(ir, { ...place, ready: (token) => this.#admit(token) });
  }

  #execute(token: Token): void {
    if (token.collected) return this.#conclude(token, ...token.collected);
    const node = nodeAt(token.graph.ir, token.index);
    const { vars, problem } = prepare(token, node);
    if (problem) return this.#conclude(token, problem);
    if (this.#options.handlers.standsFor?.(node)) {
      return this.#conclude(token, this.#evaluate(token, node, vars));
    }
    const isOwn = OWN_KINDS.has(node.type);
    const wrong = isOwn && inputProblem(this.#options.handlers, node, vars.data ?? null);
    if (wrong) return this.#conclude(token, wrong);
    switch (node.type) {
      case "map":
        return beginMap(token, node, vars, this.#inside);
      case "subworkflow":
        return beginChild(token, node, vars, this.#inside);
      case "wait":
      case "human":
        return this.#park(token, node);
      default:
        return this.#conclude(token, this.#evaluate(token, node, vars));
    }
  }

  #evaluate(token: Token, node: IrNode, vars: Vars): HandlerResult {
    return this.#options.handlers.evaluate(node, this.#contextOf(token, node, vars));
  }

  #contextOf(token: Token, node: IrNode, vars: Vars): HandlerContext {
    const { scope, attempt, home } = token;
    if (READS_SECRETS.has(node.type)) vars.secrets = this.#options.secrets ?? {};
    const { iteration } = vars;
    return {
      ...{ input: vars.input ?? null, data: vars.data ?? null, vars, attempt, scope, home },
      ...(iteration === undefined ? {} : { iteration }),
    };
  }

  #conclude(token: Token, result: HandlerResult, errors?: Json): void {
    this.#waiting.delete(token);
    const node = nodeAt(token.graph.ir, token.index);
    const isOwn = OWN_KINDS.has(node.type);
    const own = isOwn ? fittingResult(this.#options.handlers, node, result) : result;
    token.graph.conclude(token, own, errors);
    this.#settled(token);
  }

  #settled(token: Token): void {
    this.#dropVoid();
    token.graph.settle();
    this.#dropVoid();
  }

  /** The elements of a map are done with: what is left of them is void. */
  #collect(token: Token, result: HandlerResult, errors?: Json): void {
    if (this.#options.collects !== true) return this.#conclude(token, result, errors);
    this.#waiting.delete(token);
    token.graph.endInside(token);
    this.#dropVoid();
    this.#admit({ ...token, collected: [result, errors] });
  }

  #park(token: Token, node: IrNode): void {
    token.graph.record.parked(token.index, token.scope);
    const result = this.#parking.park(token, node);
    if (result) return this.#resume(token, result);
    this.#wait(token, node);
  }

  #resume(token: Token, result: HandlerResult): void {
    this.#parking.remove(token);
    token.graph.record.resumed(token.index, token.scope);
    this.#conclude(token, result);
  }

  /** The token waits from now on, as long as its node allows. */
  #wait(token: Token, node: IrNode): void {
    this.#waiting.add(token);
    limitWait(this.#agenda, node, {
      isWaiting: () => this.#waiting.has(token),
      fail: (result) => this.#resume(token, result),
    });
  }

  /** Arm the time limit of a run. */
  #limitRun(graph: GraphRun): void {
    limitRun(this.#agenda, graph, () => this.#dropVoid());
  }

  /**
   * Tokens of rounds, elements and child runs that are over are not executed, nor are those that have
   * lost: with these ends what runs inside them.
   */
  #dropVoid(): void {
    // What is left when the run itself has ended is not void: it is cancelled with it.
    if (this.#outcome) return;
    const isVoid = ({ frame, index }: Token): boolean =>
      !frame.isAlive() || frame.hasCancelled(index);
    const gone = [...this.#ready, ...this.#waiting].filter(isVoid);
    if (gone.length === 0) return;
    this.#ready = this.#ready.filter((token) => !isVoid(token));
    for (const token of gone) {
      this.#waiting.delete(token);
      this.#parking.remove(token);
      token.graph.endInside(token);
      token.graph.live--;
      token.graph.record.voided(token.index, token.scope, token.attempt);
    }
    this.#dropVoid();
  }
}
