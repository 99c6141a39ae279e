/**
 * Compiles the workflows of runs that undo others, for the archivers of one supervisor.
 *
 * One of 10,000 steps takes seconds, and a block may hold the ends of many such runs. On the event
 * loop nothing would be archived meanwhile, no role kept, no submission read; so a thread has it, and
 * not the intake's: what strangers submit must not keep the archive waiting. Runs that fail at the
 * same place have the same one, as has a block that is tried again: what was compiled lately is kept.
 */
import { createHash } from "node:crypto";
import { canonicalJson, compile, type Ir, type Json } from "../compiler/index.ts";
import { Recent } from "../sdk/internal.ts";
import { CompileGuard, COSTLY, isQuick, NO_THREAD } from "./compile-guard.ts";
import { STEPS_MAX } from "./compensation-steps.ts";
import type { SupervisorContext } from "./context.ts";

export interface Chain {
  hash: string;
  name: string;
  version: string;
  /** Canonical JSON text of the IR. */
  ir: string;
}

/** A document of 10,000 steps is what a run made of one, and not what somebody wrote. */
const LIMITS = { bytes: 2 ** 30, nodes: 3 * STEPS_MAX };
/** Of IRs. One of 10,000 steps has some millions. */
const KEPT_CHARS_MAX = 16_000_000;
const REFUSED_CHARS = 1000;

export class Chains {
  readonly #guard: Pick<CompileGuard, "compile"> | undefined;
  readonly #known = new Recent<Chain | string>(KEPT_CHARS_MAX);
  readonly #making = new Map<string, Promise<Chain | string>>();

  /** Without a guard all are compiled on the event loop. */
  constructor(guard?: Pick<CompileGuard, "compile">) {
    this.#guard = guard;
  }

  /** The compiled workflow, or why it does not compile. */
  async compile(document: Json): Promise<Chain | string> {
    const text = JSON.stringify(document);
    const key = createHash("sha256").update(text).digest("hex");
    const known = this.#known.get(key);
    if (known !== undefined) {
      return known;
    }
    const making = this.#making.get(key) ?? this.#make(document, text);
    this.#making.set(key, making);
    try {
      const made = await making;
      this.#known.set(key, made, typeof made === "string" ? REFUSED_CHARS : made.ir.length);
      return made;
    } finally {
      this.#making.delete(key);
    }
  }

  async #make(document: Json, text: string): Promise<Chain | string> {
    if (this.#guard === undefined || isQuick(text)) {
      return compileHere(document);
    }
    const answer = await this.#guard.compile(text, LIMITS);
    // A run must be undone, whatever that costs.
    if (answer === COSTLY || answer === NO_THREAD || "failed" in answer) {
      return compileHere(document);
    }
    const { ir, hash, diagnostics } = answer;
    return ir === null || hash === null ? whyNot(diagnostics) : chainOf(hash, ir);
  }
}

const CHAINS = new WeakMap<SupervisorContext, Chains>();

/** Those of a supervisor; its thread ends with it. */
export function chainsOf(context: SupervisorContext): Chains {
  const known = CHAINS.get(context);
  if (known !== undefined) {
    return known;
  }
  const guard = new CompileGuard(context.logger);
  context.signal.addEventListener("abort", () => void guard.stop(), { once: true });
  const chains = new Chains(guard);
  CHAINS.set(context, chains);
  return chains;
}

function compileHere(document: Json): Chain | string {
  const { ir, hash, diagnostics } = compile({ document }, { limits: LIMITS });
  return ir === null || hash === null ? whyNot(diagnostics) : chainOf(hash, canonicalJson(ir));
}

function chainOf(hash: string, text: string): Chain {
  const { name, workflow_version: version } = JSON.parse(text) as Ir;
  return { hash, name, version, ir: text };
}

function whyNot(diagnostics: readonly { message: string }[]): string {
  return diagnostics[0]?.message ?? "its workflow does not compile";
}
