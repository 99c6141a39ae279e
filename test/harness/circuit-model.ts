/**
 * What circuits do, as docs/limits.md says it and not as the scripts do it: every answer that a worker
 * gets is compared. Whoever is let through begins an execution, so what is checked here is that nobody
 * begins while a circuit is open, that one at most tries when that is over, and that nobody is held
 * back without a reason.
 */
import type { ClockedCall } from "./clocked-scripts.ts";

interface Circuit {
  /** While it is closed: when each was, and over how long its own node counts. */
  failures: { ms: number; withinMs: number }[];
  /** Null: closed; Infinity: until somebody closes it. */
  untilMs: number | null;
  probe: { who: string; leaseMs: number } | null;
  /** When nothing of it is remembered any more. */
  forgottenMs: number;
}

export class CircuitModel {
  /** What was seen, and how often. */
  readonly seen = new Map<string, number>();
  /** Tokens that were told to wait: unit, node, scope, attempt. */
  readonly refused = new Set<string>();
  readonly #circuits = new Map<string, Circuit>();

  /** Takes a call in; throws if it was answered otherwise than it should have been. */
  heard({ name, key, args, nowMs, answer }: ClockedCall): void {
    const kept = this.#circuits.get(key);
    const circuit = kept === undefined || kept.forgottenMs <= nowMs ? closed() : kept;
    this.#circuits.set(key, circuit);
    const problem =
      name === "askCircuit"
        ? this.#asked(circuit, args, nowMs, answer)
        : this.#told(circuit, args, nowMs, answer);
    if (problem !== null) {
      throw new Error(`circuit ${key}: ${problem}, was told ${answer}: ${args.join(" ")}`);
    }
  }

  /** What is wrong with the answer; null: nothing. */
  #asked(circuit: Circuit, args: readonly string[], nowMs: number, answer: number): string | null {
    const [who = ""] = args;
    const [openMs = 0, leaseMs = 0, keepMs = 0] = args.slice(1).map(Number);
    const { untilMs, probe } = circuit;
    if (untilMs === null) {
      return answer === 0 ? null : "a closed circuit lets everybody begin";
    }
    if (untilMs > nowMs) {
      this.refused.add(who);
      this.#count(untilMs === Infinity ? "held by hand" : "held");
      const leftMs = untilMs === Infinity ? openMs : untilMs - nowMs;
      return isWithin(answer, leftMs, openMs) ? null : "an open circuit holds back until its time";
    }
    circuit.forgottenMs = nowMs + leaseMs + keepMs;
    if (probe !== null && probe.who !== who && probe.leaseMs > nowMs) {
      this.refused.add(who);
      this.#count("held by a probe");
      return isWithin(answer, 0, openMs) ? null : "one tries, the others wait for it";
    }
    const again = probe === null ? "probed" : probe.who === who ? "probed again" : "probe died";
    this.#count(again);
    circuit.probe = { who, leaseMs: nowMs + leaseMs };
    return answer === -1 ? null : "somebody has to try";
  }

  #told(circuit: Circuit, args: readonly string[], nowMs: number, answer: number): string | null {
    const [what = "", who = ""] = args;
    const [failures = 0, withinMs = 0, openMs = 0, leaseMs = 0, keepMs = 0] = args
      .slice(2)
      .map(Number);
    const opens = (untilMs = nowMs + openMs): string | null => {
      Object.assign(circuit, closed(), { untilMs, forgottenMs: untilMs + keepMs });
      return answer === 1 ? null : "it opens";
    };
    const closes = (): null => {
      Object.assign(circuit, closed());
      return null;
    };
    const { untilMs, probe } = circuit;
    if (what === "open" || what === "close") {
      this.#count(`${what} by hand`);
      return what === "close" ? closes() : opens(openMs === 0 ? Infinity : undefined);
    }
    if (untilMs === null) {
      const isOpened =
        what === "failure" && this.#failed(circuit, nowMs, withinMs, failures, answer);
      return isOpened ? opens() : answer === 0 ? null : "it stays closed";
    }
    if (untilMs === Infinity || probe?.who !== who) {
      this.#count("ends when it is open");
      return answer === 0 ? null : "what began before it opened changes nothing";
    }
    this.#count(`probe: ${what}`);
    if (what === "failure") {
      return opens();
    } else if (what === "success") {
      return answer === 2 ? closes() : "the success of its probe closes it";
    } else if (what === "renew") {
      circuit.forgottenMs = nowMs + leaseMs + keepMs;
    }
    circuit.probe = what === "renew" ? { who, leaseMs: nowMs + leaseMs } : null;
    return answer === 0 ? null : "a probe that has not ended changes nothing";
  }

  /** Takes a failure of a closed circuit in; whether it is one too many. */
  #failed(
    circuit: Circuit,
    nowMs: number,
    withinMs: number,
    failures: number,
    answer: number,
  ): boolean {
    this.#count("failure");
    circuit.failures.push({ ms: nowMs, withinMs });
    const young = circuit.failures.filter(({ ms }) => ms > nowMs - withinMs);
    // Those of a node that counts over less may be remembered, and need not be.
    const sure = young.filter((one) => one.ms > nowMs - one.withinMs);
    if (young.length < circuit.failures.length) {
      this.#count("failures are forgotten");
    }
    const isOpened = young.length >= failures && (sure.length >= failures || answer === 1);
    if (isOpened) {
      this.#count("opens");
    }
    return isOpened;
  }

  #count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }
}

function closed(): Circuit {
  return { failures: [], untilMs: null, probe: null, forgottenMs: Infinity };
}

/** Told to wait: until then at the earliest, spread over one more open time. */
function isWithin(answer: number, leftMs: number, openMs: number): boolean {
  return answer >= Math.max(1, leftMs) && answer <= Math.ceil(leftMs + openMs);
}
