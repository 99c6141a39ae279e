/**
 * The reference interpreter: what a workflow means, without a queue, a counter or Redis.
 *
 * One process, one token at a time. A run is a set of ready tokens and a tree of frames (frame.ts);
 * executing a token gives every out-edge of its node a value, a value is carried to the join of its
 * target, and a join that is decided makes a token or passes its own value on. The run ends when no
 * token is left. Nothing here is shared with the engine's planning, so that each can find the
 * other's mistakes; and it is what `gavotte simulate` runs.
 *
 * Time does not exist: a retry or a delay makes its token ready again at once, and a timeout is a
 * failure that a handler reports.
 */
import { compileTemplate, EvaluationError } from "../../condition/index.ts";
import type { Vars } from "../../condition/index.ts";
import type { Ir, IrNode, Json } from "../ir.ts";
import { contextSeen, inputFromEdges, nodeAt } from "./data.ts";
import { decideFailure, decideSuccess } from "./edges.ts";
import type { Frame } from "./frame.ts";
import { Frame as Frames } from "./frame.ts";
import { decideJoin } from "./join.ts";
import { firstCome } from "./order.ts";
import { Record } from "./record.ts";
import { isRetried } from "./retry.ts";
import { runOutput } from "./run-output.ts";
import { StepLimitError } from "./types.ts";
import type {
  EdgeValue,
  HandlerError,
  HandlerResult,
  InterpretOptions,
  InterpretResult,
  ReadyToken,
  ReferenceError,
} from "./types.ts";

const STEPS_MAX = 100_000;
const READS_SECRETS: ReadonlySet<string> = new Set(["http", "llm", "emit"]);

/**
 * Run a workflow to its end. The input is taken as valid. Throws StepLimitError, and Error if the
 * IR is broken (an edge into a loop's body, a join that nothing decides).
 */
export function interpret(ir: Ir, input: Json, options: InterpretOptions): InterpretResult {
  return new Interpreter(ir, input, options).run();
}

interface Token extends ReadyToken {
  index: number;
  frame: Frame;
  data: Json;
}

/** A value on its way to a node: over an edge, to the join that lives in `frame`. */
interface Delivery {
  edge: number;
  frame: Frame;
  value: EdgeValue;
}

class Interpreter {
  readonly #ir: Ir;
  readonly #input: Json;
  readonly #options: InterpretOptions;
  readonly #top = Frames.top();
  readonly #record: Record;
  #ready: Token[] = [];
  #deliveries: Delivery[] = [];
  /** The first unhandled failure under fail-fast. */
  #fatal: ReferenceError | undefined;

  constructor(ir: Ir, input: Json, options: InterpretOptions) {
    this.#ir = ir;
    this.#input = input;
    this.#options = options;
    this.#record = new Record(ir);
  }

  run(): InterpretResult {
    const order = this.#options.order ?? firstCome;
    const stepsMax = this.#options.maxSteps ?? STEPS_MAX;
    this.#ir.nodes.forEach((node, index) => {
      if (node.is_entry) this.#activate(index, this.#top, this.#input);
    });
    for (let steps = 0; this.#ready.length > 0 && !this.#fatal; steps++) {
      if (steps >= stepsMax) {
        const message = `the run has not ended after ${stepsMax} executions of nodes`;
        throw new StepLimitError(`${message}; allow more with maxSteps, or look at its loops`);
      }
      const [token] = this.#ready.splice(order(this.#ready), 1);
      if (!token) throw new Error("the scheduler picked a token that there is not");
      this.#execute(token);
      this.#spread();
      this.#dropVoid();
    }
    if (!this.#fatal) this.#record.assertDecided(this.#top);
    return this.#finish();
  }

  #finish(): InterpretResult {
    const record = this.#record;
    if (this.#fatal) return record.result("FAILED", null, this.#fatal);
    const error = record.failuresError();
    if (error) return record.result("FAILED", null, error);
    const ended = runOutput(this.#ir, this.#top, this.#input, this.#runVars(), record.statusOf);
    if ("error" in ended) return record.result("FAILED", null, ended.error);
    return record.result("COMPLETED", ended.output);
  }

  /** Make a token for a node that is entered from outside; a head begins its loops. */
  #activate(index: number, frame: Frame, data: Json): void {
    const inner = nodeAt(this.#ir, index).head_of.reduce(
      (place, loop) => place.enter(this.#ir, loop),
      frame,
    );
    this.#makeReady(index, inner, data);
  }

  #makeReady(index: number, frame: Frame, data: Json): void {
    const { scope } = frame;
    const node = nodeAt(this.#ir, index).id;
    this.#record.activated(index, scope);
    this.#ready.push({ node, index, frame, scope, attempt: 1, data });
  }

  #execute(token: Token): void {
    const node = nodeAt(this.#ir, token.index);
    const result = this.#evaluate(token, node);
    if ("output" in result) {
      this.#succeed(token, node, asStored(result.output));
    } else if (isRetried(node, result.error, token.attempt)) {
      this.#record.retried(token.index, token.scope, token.attempt, result.error);
      this.#ready.push({ ...token, attempt: token.attempt + 1 });
    } else {
      this.#fail(token, node, result.error);
    }
  }

  #evaluate(token: Token, node: IrNode): HandlerResult {
    const { frame, attempt, scope } = token;
    const common = this.#vars(frame, node.refs);
    let data = token.data;
    try {
      const template = node.config["input"];
      if (template !== undefined) data = compileTemplate(template).evaluate({ ...common, data });
    } catch (error) {
      if (!(error instanceof EvaluationError)) throw error;
      const where = `node "${node.id}" (${node.type}): config.input${error.pointer ?? ""}`;
      const message = `${where}: ${error.message}`;
      return { error: { code: "BAD_INPUT", message, retryable: false } };
    }
    const vars: Vars = { ...common, data };
    if (READS_SECRETS.has(node.type)) vars.secrets = this.#options.secrets ?? {};
    const iteration = frame.loop === null ? {} : { iteration: frame.round };
    const context = { input: this.#input, data, vars, attempt, ...iteration, scope };
    return this.#options.handlers.evaluate(node, context);
  }

  #vars(frame: Frame, refs: readonly number[]): Vars {
    const ctx = contextSeen(this.#ir, frame, refs);
    const vars: Vars = { input: this.#input, ctx, run: this.#runVars() };
    if (frame.loop !== null) vars.iteration = frame.round;
    return vars;
  }

  #runVars(): { [key: string]: Json } {
    const { name, workflow_version: version } = this.#ir;
    return { id: this.#options.runId ?? "simulated", workflow: name, version, attempt: 1 };
  }

  #succeed(token: Token, node: IrNode, output: Json): void {
    const vars = { ...this.#vars(token.frame, node.edge_refs), output };
    const next = decideSuccess(this.#ir, node, token.frame.round, vars);
    if (next.kind === "fail") {
      const kept = next.error.code === "CONDITION_FAILED" ? { output } : undefined;
      return this.#fail(token, node, next.error, kept);
    }
    token.frame.ended.set(token.index, { status: "completed", value: output });
    if (next.kind === "leave") {
      this.#record.completed(token.index, token.scope, token.attempt, output, next.edges);
      return this.#leave(token, node, next.edges);
    }
    this.#record.completed(token.index, token.scope, token.attempt, output, []);
    this.#goRound(token.frame, output);
  }

  /** Another round: everything of the old one is void, its latch's output is the head's input. */
  #goRound(old: Frame, output: Json): void {
    const loop = old.loop ?? -1;
    const head = this.#ir.loops[loop]?.head ?? -1;
    const own = nodeAt(this.#ir, head).head_of;
    const begun = own.slice(own.indexOf(loop));
    const outside = old.parent ?? this.#top;
    const inner = begun.reduce((place, each) => place.enter(this.#ir, each), outside);
    this.#record.wentRound(head, inner.scope);
    this.#makeReady(head, inner, output);
  }

  #fail(token: Token, node: IrNode, error: HandlerError, details?: { [key: string]: Json }): void {
    const { attempt: attempts, frame, scope, index } = token;
    const value = errorValue(error, node, attempts);
    const vars = { ...this.#vars(frame, node.edge_refs), output: value };
    const decision = decideFailure(this.#ir, node, error.timeout === true, vars);
    const { code, message } = decision.error ?? error;
    const shown: ReferenceError = { code, message, node: node.id, scope, attempts };
    if (details && !decision.error) shown.details = details;
    frame.ended.set(index, { status: "failed", value });
    if (decision.edges) {
      this.#record.failed(index, scope, attempts, shown, decision.edges, true);
      return this.#leave(token, node, decision.edges);
    }
    const edges = node.out.map((): EdgeValue => "failed");
    if (this.#ir.settings.failure === "continue") {
      this.#record.failed(index, scope, attempts, shown, edges, false);
      return this.#leave(token, node, edges);
    }
    this.#record.failed(index, scope, attempts, shown, [], false);
    this.#fatal = shown;
  }

  /** Send values on the out-edges; a latch ends its loop by that. */
  #leave(token: Token, node: IrNode, edges: readonly EdgeValue[]): void {
    if (node.latch_of !== null) {
      token.frame.end();
      this.#record.loopEnded(token.index, token.scope);
    }
    this.#send(node, token.frame, (place) => edges[place] ?? "dead");
  }

  #send(node: IrNode, from: Frame, valueAt: (place: number) => EdgeValue): void {
    node.out.forEach((edge, place) => {
      const target = nodeAt(this.#ir, this.#ir.edges[edge]?.to ?? -1);
      this.#deliveries.push({
        edge,
        frame: from.around(joinLoop(this.#ir, target)),
        value: valueAt(place),
      });
    });
  }

  /** Carry values until all have come to a join that waits, or have made a token. */
  #spread(): void {
    for (let at = this.#deliveries.shift(); at; at = this.#deliveries.shift()) this.#arrive(at);
  }

  #arrive({ edge, frame, value }: Delivery): void {
    const index = this.#ir.edges[edge]?.to ?? -1;
    const node = nodeAt(this.#ir, index);
    const join = frame.joinOf(index, node.in.length);
    const place = node.in.indexOf(edge);
    if (join.arrivals[place] !== null) {
      throw new Error(`edge ${edge} brought a second value to "${node.id}" in "${frame.scope}"`);
    }
    join.arrivals[place] = value;
    if (join.isDecided) return;
    const decision = decideJoin(node.join, join.arrivals);
    if (decision.kind === "wait") return;
    join.isDecided = true;
    if (node.in.length > 1) this.#record.joined(index, frame.scope, join.arrivals, decision);
    if (decision.kind === "fire") {
      this.#activate(index, frame, inputFromEdges(this.#ir, node, frame, join.arrivals));
    } else {
      this.#skip(index, node, frame, decision.value);
    }
  }

  /** A skipped head takes its whole loop with it; a skipped latch ends its loop. */
  #skip(index: number, node: IrNode, frame: Frame, value: "dead" | "failed"): void {
    const [outer] = node.head_of;
    const loop = outer === undefined ? undefined : this.#ir.loops[outer];
    if (loop) {
      for (const inside of loop.body) this.#record.skipped(inside, frame.scope);
      return this.#send(nodeAt(this.#ir, loop.latch), frame, () => value);
    }
    this.#record.skipped(index, frame.scope);
    if (node.latch_of !== null) {
      frame.end();
      this.#record.loopEnded(index, frame.scope);
    }
    this.#send(node, frame, () => value);
  }

  /** Tokens of rounds that are over are not executed. */
  #dropVoid(): void {
    if (this.#ready.every((token) => token.frame.isAlive())) return;
    this.#ready = this.#ready.filter((token) => {
      const isAlive = token.frame.isAlive();
      if (!isAlive) this.#record.voided(token.index, token.scope, token.attempt);
      return isAlive;
    });
  }
}

/** The loop in whose frame a node's join lives: a head's join is outside of its loops. */
function joinLoop(ir: Ir, node: IrNode): number | null {
  const [outer] = node.head_of;
  return outer === undefined ? node.loop : (ir.loops[outer]?.parent ?? null);
}

/** What goes along error and timeout edges. */
function errorValue({ code, message }: HandlerError, node: IrNode, attempts: number): Json {
  return { error: { code, message, node: node.id, attempts } };
}

/** As it comes back from where outputs are kept: JSON, shared with nobody. */
function asStored(output: Json): Json {
  return JSON.parse(JSON.stringify(output)) as Json;
}
