/**
 * The worker of a driver: the worker's own code makes of a token what is to be sent, in one go and
 * without a clock. It may die before any call of a script, and expand a map long after it was asked.
 */
import type { Json } from "../../compiler/ir.ts";
import type { Vars } from "../../condition/index.ts";
import {
  holdTokens,
  type CompletionItem,
  type ReadyToken,
  type RunProfile,
  type ScriptRunner,
} from "../../sdk/internal.ts";
import { isLimited } from "../../worker/beginnings.ts";
import { chainNext } from "../../worker/chain.ts";
import { childItem, stepChild } from "../../worker/children.ts";
import { Elements, finishElement } from "../../worker/elements.ts";
import { Executor, type Begun } from "../../worker/execute.ts";
import type { Prepared } from "../../worker/prepared.ts";
import { itemOf } from "../../worker/results.ts";
import { finish } from "../../worker/finish.ts";
import { settlingOf } from "../../worker/output-template.ts";
import { failureBefore, toExecutionError } from "../../worker/kinds/kind.ts";
import { Maps, noResults, planMap } from "../../worker/maps.ts";
import { Preparer } from "../../worker/prepare.ts";
import type { Outcome } from "../../worker/run-kind.ts";
import { Workflows } from "../../worker/workflows.ts";
import { DrivenLimits } from "./driven-limits.ts";
import type { TestPartition } from "./partition.ts";
import { ahead, runSync } from "./run-sync.ts";
import { dies, type Schedule } from "./schedule.ts";

/** A token and the consumer that it was delivered to. */
export interface Held {
  token: ReadyToken;
  consumer: string;
  /** Nothing is taken for granted: its record is read, its chain looked for. */
  again?: boolean;
  /** The next step of a chain, with all that it needs: nothing is read for it. */
  known?: Prepared;
}

/** An item on its way, with what its sender knows of it. */
export interface Sent {
  item: CompletionItem;
  held: Held;
  /** What it was executed with. */
  prepared?: Prepared;
}

/** What happens to a worker in the middle of expanding a map. */
class Died extends Error {}

/** Kinds whose tokens are moved on by calls of their own. */
const MOVED = { map: true, subworkflow: true };

/** Items of one call when a map is expanded: small, so that small maps take several calls. */
const CHUNK = 2;

export class DrivenWorker {
  readonly #p: TestPartition;
  readonly #s: Schedule;
  readonly #workflows: Workflows;
  readonly #preparer: Preparer;
  readonly #executor: Executor;
  readonly #elements: Elements;
  readonly #maps: Maps;
  /** Circuits and rate limits. */
  readonly limits: DrivenLimits;
  /** Expansions of maps by workers that are slow. */
  #lateMaps: (() => Promise<void>)[] = [];

  constructor(partition: TestPartition, schedule: Schedule) {
    const { redis, scripts } = partition;
    this.#p = partition;
    this.#s = schedule;
    this.#workflows = new Workflows(redis);
    this.#preparer = new Preparer(scripts.redis, this.#workflows, 0);
    this.#elements = new Elements(scripts.redis, scripts.keys);
    this.#maps = new Maps(this.#dying(), this.#workflows, CHUNK);
    this.#executor = testExecutor();
    this.limits = new DrivenLimits(partition, schedule, this.#executor);
  }

  /** What is to be sent for a token; null: nothing, or nothing here. */
  async settle(held: Held): Promise<Sent | null> {
    if (held.known !== undefined) {
      return this.#step(held.known, held);
    }
    const redelivered = held.again === true || this.#s.random() < 0.5;
    await this.#preparer.news.look(this.#p.scripts.redis);
    const [preparation] = await this.#preparer.prepare([held.token], redelivered);
    if (!preparation || preparation.kind === "unknown" || preparation.kind === "later") {
      throw new Error("a token of an unknown workflow");
    }
    if (preparation.kind === "drop") {
      const { token, profile } = preparation;
      const node = profile.ir.nodes[token.node];
      return node === undefined ? null : { item: itemOf({ token, profile, node }), held };
    }
    if (preparation.kind === "hold") {
      // Sometimes the worker dies before it: the entry stays pending.
      if (!dies(this.#s)) {
        await holdTokens(this.#p.scripts, [preparation.token]);
      }
      return null;
    }
    const { token, profile } = preparation.prepared;
    if (token.kind === "finish") {
      await this.finish(profile, token, token.entryId);
      return null;
    }
    if (held.again === true) {
      preparation.prepared.isRedelivered = true;
    }
    return this.#step(preparation.prepared, held);
  }

  async #step(prepared: Prepared, held: Held): Promise<Sent | null> {
    const { token } = prepared;
    const item = await this.#execute(prepared);
    if (item === null) {
      return null; // a map: its elements run by themselves, or the worker died
    }
    item.keeps = chainNext(item, token.scope) !== null && this.#s.random() < 0.7;
    return { item, held: { ...held, token }, prepared };
  }

  /** Evaluates the output of a run, or of an element of a map. */
  async finish(
    profile: RunProfile,
    token: Pick<ReadyToken, "runId" | "unit" | "epoch" | "queueKey">,
    entryId: string | null,
  ): Promise<void> {
    const settling = settlingOf(this.#p.scripts);
    if (token.unit === token.runId) {
      await finish(settling, profile, token, entryId);
    } else {
      await finishElement(settling, this.#elements, profile, token, entryId);
    }
  }

  /** Slow workers do, at last, what they had begun: so many maps are expanded, circuits told. */
  async catchUp(count: number): Promise<void> {
    for (const expand of this.#lateMaps.splice(0, count)) {
      await expand();
    }
    await this.limits.catchUp(count);
  }

  async #execute(p: Prepared): Promise<CompletionItem | null> {
    const executor = this.#executor;
    let vars: Vars = {};
    try {
      const begun = executor.begin(p, 0);
      vars = begun.vars;
      if (p.node.type === "map" && begun.settled === null) {
        return await this.#map(p, vars, begun.input);
      }
      if (p.node.type === "subworkflow" && begun.settled === null) {
        return await this.#child(p, vars, begun.input);
      }
      if (begun.settled === null && isLimited(p)) {
        return await this.#limited(p, begun);
      }
      const output = begun.settled === null ? runSync(p, vars, begun.input) : null;
      return begun.settled ?? executor.succeed(p, vars, output, 0);
    } catch (error) {
      const failure = p.node.type in MOVED ? failureBefore(error) : toExecutionError(error);
      if (failure === null) {
        throw error; // the token is not moved on, and is delivered again
      }
      return executor.fail(p, vars, failure, 0);
    }
  }

  /** Null: the worker died in the middle of it. */
  async #limited(p: Prepared, begun: Begun): Promise<CompletionItem | null> {
    const asked = await this.limits.begin(p, begun);
    if ("item" in asked) {
      return asked.item;
    }
    const { pass } = asked;
    if (dies(this.#s)) {
      await this.limits.ended(pass, null);
      return null;
    }
    const { vars, input } = begun;
    let outcome: Outcome;
    try {
      outcome = { output: runSync(p, vars, input) };
    } catch (error) {
      outcome = { error: toExecutionError(error) };
    }
    await this.limits.ended(pass, outcome);
    return "output" in outcome
      ? this.#executor.succeed(p, vars, outcome.output, 0)
      : this.#executor.fail(p, vars, outcome.error, 0);
  }

  /** Null: there is nothing to send. */
  async #map(p: Prepared, vars: Vars, input: Json): Promise<CompletionItem | null> {
    if (p.token.kind === "gather") {
      return this.#executor.collected(p, vars, await this.#maps.collect(p), 0);
    }
    const plan = planMap(p, vars, input);
    if (plan.items.length === 0) {
      return this.#executor.collected(p, vars, noResults(p.node), 0);
    }
    const expand = async (): Promise<void> => {
      await this.#maps.expand(p, plan).catch((error: unknown) => {
        if (!(error instanceof Died)) {
          throw error;
        }
      });
    };
    if (this.#s.random() < this.#s.late) {
      this.#lateMaps.push(expand);
    } else {
      await expand();
    }
    return null;
  }

  /** Null: the token is parked, or the worker died when it was. */
  async #child(p: Prepared, vars: Vars, input: Json): Promise<CompletionItem | null> {
    const { random, die, duplicate } = this.#s;
    const options = { scripts: this.#p.scripts, workflows: this.#workflows };
    if (random() < duplicate) {
      await stepChild(options, p, input); // by somebody who died with the answer
    }
    const item = await childItem({ ...options, executor: this.#executor }, p, vars, input);
    return random() < die ? null : item;
  }

  /** The scripts of a worker that may die before any call. */
  #dying(): ScriptRunner {
    const { scripts } = this.#p;
    const dying = {
      redis: scripts.redis,
      keys: scripts.keys,
      nonce: () => scripts.nonce(),
      transition: async (...call: Parameters<ScriptRunner["transition"]>) => {
        if (dies(this.#s)) {
          throw new Died();
        }
        return scripts.transition(...call);
      },
    };
    return dying as unknown as ScriptRunner;
  }
}

/** Without secrets, and with nothing left to chance: addresses of waits are numbered. */
export function testExecutor(): Executor {
  let waits = 0;
  return new Executor({
    workerId: "t",
    secrets: () => ({}),
    secret: () => `address-${++waits}`,
    random: () => 0.5,
    outputBytesMax: 1024 * 1024,
    ahead,
  });
}
