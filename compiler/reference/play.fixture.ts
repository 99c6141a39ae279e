/** For the tests beside this file: small workflows whose nodes do what the test says. */
import { compile } from "../index.ts";
import type { Ir, Json } from "../ir.ts";
import { interpret } from "./interpreter.ts";
import type {
  HandlerContext,
  HandlerError,
  HandlerResult,
  InterpretOptions,
  InterpretResult,
  Scheduler,
} from "./types.ts";

export type Work = (context: HandlerContext) => HandlerResult;

export interface Play extends Omit<InterpretOptions, "handlers"> {
  input?: Json;
  /** What nodes do, by id; the others put out their input. */
  work?: { [node: string]: Work };
}

type JsonObject = { [key: string]: Json };

/** A function node. */
export function fn(id: string, more: JsonObject = {}): JsonObject {
  return { id, type: "function", config: { function_name: "work" }, ...more };
}

/** `a>b` as an edge, `a>b>c` as two. */
export function chain(...texts: string[]): { from: string; to: string }[] {
  return texts.flatMap((text) => {
    const ids = text.split(">");
    return ids.slice(1).map((to, i) => ({ from: ids[i] ?? "", to }));
  });
}

/** An edge for another end than a success. */
export const on = (from: string, to: string, word: string) => ({ from, to, on: word });

/** Compile a document that must be valid. */
export function irOf(nodes: JsonObject[], edges: JsonObject[], more: JsonObject = {}): Ir {
  const document = { metadata: { name: "test", version: "7" }, nodes, edges, ...more };
  const { ir, diagnostics } = compile({ document });
  if (ir) return ir;
  throw new Error(diagnostics.map((d) => `${d.code} ${d.message}`).join("\n"));
}

export function play(ir: Ir, { input = {}, work = {}, ...rest }: Play = {}): InterpretResult {
  const options: InterpretOptions = {
    ...rest,
    handlers: {
      evaluate: (node, context) => {
        const own = Object.hasOwn(work, node.id) ? work[node.id] : undefined;
        return own ? own(context) : { output: context.data };
      },
    },
  };
  return interpret(ir, input, options);
}

export const gives =
  (output: Json): Work =>
  () => ({ output });

export const fails =
  (code = "BROKEN", more: Partial<HandlerError> = {}): Work =>
  () => ({ error: { code, message: "it broke", ...more } });

/** Statuses by node id. */
export function statuses({ nodes }: InterpretResult): { [id: string]: string } {
  return Object.fromEntries(Object.entries(nodes).map(([id, { status }]) => [id, status]));
}

/** A scheduler that executes these nodes only when nothing else is ready. */
export function late(...slow: string[]): Scheduler {
  return (ready) =>
    Math.max(
      0,
      ready.findIndex(({ node }) => !slow.includes(node)),
    );
}
