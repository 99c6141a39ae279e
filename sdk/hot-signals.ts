/**
 * The signals of a run as its journal tells them: which ids were accepted, which signals are kept,
 * which tokens wait for which. Folds to the run's signals hash (scripts/signal_run.lua).
 */
import type { Transition } from "./journal.ts";
import { lineFields, SIGNAL_IDS_MAX, type WaitAnswer, type WaitInfo } from "./waits.ts";

interface HotWaiter {
  name: string;
  node: number;
  /** Map element, "" the run itself. */
  home: string;
  scope: string;
  attempt: number;
}

interface KeptSignal {
  number: number;
  name: string;
  id: string;
  value: string;
}

/** Fields of a run's signals hash. */
export interface SignalFields {
  readonly [field: string]: string;
}

export class HotSignals {
  /** Ids accepted, oldest first; their numbers end at `count`. */
  #ids: string[] = [];
  #count = 0;
  #kept: KeptSignal[] = [];
  #everKept = false;
  /** The oldest first, by node and home. */
  readonly #waiters = new Map<string, HotWaiter>();

  /** Takes in what a transition says about signals; `home` is the map element that it is about. */
  apply(t: Transition, home = ""): void {
    if (t.e === "signal.kept") {
      const { name, id } = t.v as WaitAnswer & { kind: "signal" };
      this.#accept(id);
      this.#kept.push({ number: this.#count, name, id, value: JSON.stringify(t.v) });
      this.#everKept = true;
    } else if (t.e === "node.parked" && typeof t.w === "object" && t.w.signal !== undefined) {
      this.#leave(t.n ?? -1, home);
      this.#waiters.set(`${t.n}|${home}`, waiterOf(t, t.w, home));
    } else if (t.e === "node.resumed") {
      this.#leave(t.n ?? -1, home);
      const answer = t.v as WaitAnswer | undefined;
      if (answer?.kind === "signal") {
        this.#use(answer.id);
      }
    }
  }

  /**
   * The fields of the signals hash; none if the run has never had a signal nor waits for one.
   * `queueOf` tells the queue of a token that is still parked, null of one that is not.
   */
  fields(queueOf: (node: number, home: string, scope: string) => string | null): SignalFields {
    const fields: { [field: string]: string } = {};
    const first = this.#count - this.#ids.length + 1;
    this.#ids.forEach((id, i) => {
      fields[`i:${id}`] = String(first + i);
      fields[`r${(first + i) % SIGNAL_IDS_MAX}`] = id;
    });
    if (this.#count > 0) {
      fields["n"] = String(this.#count);
    }
    if (this.#everKept) {
      fields["k"] = String(this.#kept.length);
    }
    for (const { name, number, value } of this.#kept) {
      fields[`p${number}`] = value;
      append(fields, `q:${name}`, ",", String(number));
    }
    const lines = new Map<string, string[]>();
    for (const { name, node, home, scope, attempt } of this.#waiters.values()) {
      const queue = queueOf(node, home, scope);
      if (queue !== null) {
        const line = lines.get(name) ?? [];
        line.push([node, home, scope, attempt, queue].join("|"));
        lines.set(name, line);
      }
    }
    for (const [name, line] of lines) {
      Object.assign(fields, lineFields(name, line));
    }
    return fields;
  }

  /** As a redrive leaves them: nobody waits; `fields`, if it changed more, are those of the hash. */
  restore(fields: SignalFields | undefined): void {
    this.#waiters.clear();
    if (fields === undefined) {
      return;
    }
    const named = Object.entries(fields);
    const ids = named.filter(([field]) => field.startsWith("i:"));
    ids.sort(([, a], [, b]) => Number(a) - Number(b));
    this.#ids = ids.map(([field]) => field.slice(2));
    this.#count = Number(fields["n"] ?? 0);
    this.#everKept = fields["k"] !== undefined;
    this.#kept = named
      .filter(([field]) => /^p\d+$/.test(field))
      .map(([field, value]) => {
        const { name, id } = JSON.parse(value) as WaitAnswer & { kind: "signal" };
        return { number: Number(field.slice(1)), name, id, value };
      });
    this.#kept.sort((a, b) => a.number - b.number);
  }

  #accept(id: string): void {
    this.#count += 1;
    this.#ids.push(id);
    this.#ids.splice(0, this.#ids.length - SIGNAL_IDS_MAX);
  }

  /** A signal has served a wait: a kept one, or one that has just come. */
  #use(id: string): void {
    const at = this.#kept.findIndex((signal) => signal.id === id);
    if (at < 0) {
      this.#accept(id);
    } else {
      this.#kept.splice(at, 1);
    }
  }

  #leave(node: number, home: string): void {
    this.#waiters.delete(`${node}|${home}`);
  }
}

function waiterOf(t: Transition, wait: WaitInfo, home: string): HotWaiter {
  const { n: node = -1, s: scope = "", a: attempt = 1 } = t;
  return { name: wait.signal ?? "", node, home, scope, attempt };
}

function append(
  fields: { [field: string]: string },
  field: string,
  separator: string,
  item: string,
): void {
  const before = fields[field];
  fields[field] = before === undefined ? item : before + separator + item;
}
