/** Runs whose tokens wait, played by hand: parked, answered, compared with the fold of their journal. */
import { expect } from "vitest";
import type { Ir } from "../../compiler/ir.ts";
import { hotFields } from "../../sdk/hot-fields.ts";
import { HotState } from "../../sdk/hot-state.ts";
import {
  callbackWait,
  parseJournalRecord,
  parseWaitToken,
  signalRun,
  waitToken,
  type ReadyToken,
  type Transition,
  type WaitAddress,
  type WaitInfo,
} from "../../sdk/internal.ts";
import { linesOf } from "../../sdk/waits.ts";
import type { TestPartition } from "./partition.ts";
import { TokenPlayer } from "./tokens.ts";

let started = 0;

/** A run of this workflow that has begun; both have names of their own. */
export async function waitingRun(p: TestPartition, ir: Ir): Promise<WaitingRun> {
  started += 1;
  const run = new WaitingRun(p, await p.publish(ir, `w-${started}`), `run-${started}`);
  await run.start();
  return run;
}

export class WaitingRun extends TokenPlayer {
  /** What the token waits for: the signal "paid", unless told. */
  wait(token: ReadyToken, more: Partial<WaitInfo> = {}): WaitInfo {
    const secret = `secret-${token.node}${token.scope.replaceAll(/[:/]/g, "_")}`;
    const address = waitToken(this.runId, token.node, secret);
    return { kind: "signal", signal: "paid", token: address, ...more };
  }

  /** Where a wait of the node at top level is answered. */
  address(node = 0): WaitAddress {
    return parseWaitToken(waitToken(this.runId, node, `secret-${node}`)) as WaitAddress;
  }

  async park(token: ReadyToken, more: Partial<WaitInfo> = {}, timeoutMs = 0): Promise<number> {
    const info = this.wait(token, more);
    return this.settle(token, "", { op: "W", value: "", delayMs: timeoutMs, wait: info });
  }

  signal(id: string, data: number = 1, name = "paid"): ReturnType<typeof signalRun> {
    return signalRun(this.p.scripts, { runId: this.runId, id, name, data });
  }

  callback(id: string, node = 0): ReturnType<typeof callbackWait> {
    return callbackWait(this.p.scripts, this.address(node), { id, data: 3 });
  }

  /** Ready tokens as "<node>:<kind of the answer>:<data>". */
  async ready(): Promise<string[]> {
    return (await this.read()).map((token) => {
      const answer = JSON.parse(token.answer ?? "null") as { kind: string; data?: unknown } | null;
      return `${this.idOf(token)}:${answer?.kind ?? token.kind}:${JSON.stringify(answer?.data)}`;
    });
  }

  /** What the journal has of it. */
  async transitions(): Promise<{ t: Transition; ms: number }[]> {
    const entries = await this.p.redis.xrange(this.p.scripts.keys.ev, "-", "+");
    return entries.flatMap(([id, fields]) => {
      const record = parseJournalRecord(id, fields);
      const own = record.transitions.filter(({ r }) => r === this.runId);
      return own.map((t) => ({ t, ms: record.t }));
    });
  }

  /** The fold of the journal is what Redis holds: the run's tokens, waits and signals. */
  async expectFold(): Promise<void> {
    const { ir, irHash } = this.profile;
    const hot = new HotState(ir);
    (await this.transitions()).forEach(({ t, ms }) => hot.apply(t, ms));
    const more = { epoch: 1, irHash, input: {}, namespace: "", priority: "normal" };
    expect(shown(hotFields(hot, more))).toEqual(shown(await this.hash()));
    const queue = this.profile.queueKeys[0] as string;
    const signals = hot.signals.fields((node, _, scope) =>
      hot.tokens.get(node)?.state === "w" && hot.isCurrent(scope) ? queue : null,
    );
    const written = await this.p.redis.hgetall(this.p.scripts.keys.signals(this.runId));
    expect(linesOf(signals)).toEqual(linesOf(written));
    expect(unnumbered(signals)).toEqual(unnumbered(written));
  }
}

/** Records, rounds, arrivals, the counter, and which waits are over. */
function shown(hash: { [field: string]: string }): [string, string][] {
  return Object.entries(hash)
    .filter(([f, v]) => /^[nal]\d+$/.test(f) || f === "c" || (/^w\d+$/.test(f) && v[0] === "="))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Without who waits: a fold has no gaps in its lines. */
function unnumbered(signals: { [field: string]: string }): [string, string][] {
  return Object.entries(signals)
    .filter(([field]) => !/^(w:|v\d+:|u\d+\|)/.test(field))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
