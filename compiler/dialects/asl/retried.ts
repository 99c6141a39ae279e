/**
 * Retry of a state with states inside, as a loop.
 *
 * A map is not tried again as a whole, but a loop can be: its round is a pause (none before the
 * first), the map, and a node that decides on another round by the error. Behind the loop the way
 * parts: with a result, or with an error that nobody wants to try again or that came too often.
 */
import type { JsonObject } from "../../document.ts";
import { DURATION_MS_MAX } from "../../ir.ts";
import { joinPointer } from "../../source-map.ts";
import { inputConfig } from "./builder.ts";
import type { Handle } from "./builder.ts";
import { outputOf, quote } from "./cel.ts";
import { readCatch } from "./failures.ts";
import type { Root } from "./paths.ts";
import type { Place } from "./scope.ts";
import { addNode, catchFailure, endSuccess } from "./work.ts";

/** The policy of a node with `retry`. */
interface Policy {
  max_attempts: number;
  backoff_ms: number;
  backoff_multiplier: number;
  max_backoff_ms?: number;
  jitter: number;
  on?: string[];
  not_on?: string[];
}

/** Emit a state whose work, made by `build`, is tried again; gives its first node. */
export function emitRetried(
  place: Place,
  retry: JsonObject,
  result: Root,
  build: (raw: string) => JsonObject,
): Handle {
  const { scope, id, pointer } = place;
  const { builder, ids } = scope;
  const policy = retry as unknown as Policy;
  if (policy.jitter !== 0) reportJitter(place);
  const pass = (name: string): Handle => builder.pass(ids.take(`${id}_${name}`), pointer);
  const first = pass("in");
  const raw = outputOf(first.id);
  const pause = builder.node(ids.take(`${id}_pause`), pointer, () => ({
    type: "delay",
    config: { delay_ms: `\${[${delays(policy).join(", ")}][iteration - 1]}` },
  }));
  const main = addNode(place, id, () => build(raw));
  const done = pass("done");
  const failed = pass("failed");
  const lost = emitLost(place, raw);
  const latch = builder.node(ids.take(`${id}_retry`), pointer, (input) => ({
    type: "loop",
    config: {
      condition: `has(${outputOf(failed.id)}) && ${isWanted(policy, outputOf(failed.id))}`,
      max_iterations: policy.max_attempts,
      loop_back_to: pause.id,
      timeout_path: [lost.id],
      ...inputConfig(input).config,
    },
  }));
  const next = builder.node(ids.take(`${id}_next`), pointer, () => ({ type: "conditional" }));
  builder.edge(first, pause, pointer);
  builder.edge(pause, main, pointer);
  builder.edge(main, done, pointer);
  builder.edge(main, failed, joinPointer(pointer, "Retry"), { on: "error" });
  builder.edge(done, latch, pointer);
  builder.edge(failed, latch, pointer);
  builder.edge(latch, next, pointer);
  builder.implied(lost);
  endSuccess(place, next, raw, result, { condition: `has(${outputOf(done.id)})` });
  builder.edge(next, lost, pointer);
  return first;
}

/** Milliseconds before each round. */
function delays(policy: Policy): number[] {
  const share = policy.jitter === 0 ? 1 : 2;
  const cap = policy.max_backoff_ms ?? DURATION_MS_MAX;
  const growth = (k: number): number => Math.min(policy.backoff_multiplier ** k, Number.MAX_VALUE);
  const pauses = Array.from({ length: policy.max_attempts - 1 }, (_, k) =>
    Math.round(share * Math.min(policy.backoff_ms * growth(k), cap)),
  );
  return [0, ...pauses];
}

/** Whether the error at `failed` is worth another round. */
function isWanted({ on, not_on: not }: Policy, failed: string): string {
  const list = (codes: readonly string[]): string => `[${codes.map(quote).join(", ")}]`;
  const parts = [
    ...(on ? [`${failed}.error.code in ${list(on)}`] : []),
    ...(not ? [`!(${failed}.error.code in ${list(not)})`] : []),
  ];
  return parts.length === 0 ? "true" : parts.join(" && ");
}

function reportJitter({ scope, pointer }: Place): void {
  const message =
    "`JitterStrategy` of a state with states inside has no equal here: it is left out";
  scope.context.reporter.report({
    code: "GV5002",
    pointer: joinPointer(pointer, "Retry"),
    message,
  });
}

/** Where an error goes that ends the state: to its catchers, or on as the error that it is. */
function emitLost(place: Place, raw: string): Handle {
  const { state, scope, id, pointer } = place;
  const { builder, ids } = scope;
  const raise = (name: string): Handle =>
    builder.node(ids.take(`${id}_${name}`), pointer, (input) => ({
      type: "function",
      config: {
        function_name: "builtin.fail",
        params: { code: "${data.error.code}", message: "${data.error.message}" },
        ...inputConfig(input).config,
      },
    }));
  const catchers = readCatch(state, pointer, scope.context);
  if (catchers.length === 0) return raise("error");
  const lost = builder.node(ids.take(`${id}_error`), pointer, (input) => ({
    type: "conditional",
    ...inputConfig(input),
  }));
  for (const [i, catcher] of catchers.entries())
    catchFailure(place, catcher, i, { from: lost, raw });
  if (catchers.every(({ condition }) => condition !== undefined)) {
    builder.edge(lost, raise("raise"), pointer);
  }
  return lost;
}
