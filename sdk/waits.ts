/**
 * What a parked token waits for, how it is addressed, and what ends the wait.
 *
 * A wait has an address of its own, `<unit>.<node>-<secret>`: the callback token of a `wait`, the id
 * of an approval. It is drawn anew for every token that is parked, so an address that was used, or
 * whose wait has timed out, never reaches a later one.
 */
import type { Ir, Json } from "../compiler/ir.ts";

/** Longest payload of a signal, callback or decision, in bytes; most signals kept for one run. */
export const SIGNAL_BYTES_MAX = 65_536;
export const SIGNALS_KEPT_MAX = 64;
/** Ids of signals that a run remembers: a repeated one among them is accepted once. */
export const SIGNAL_IDS_MAX = 1000;
/** Longest id of a signal and name of an actor, in characters. */
export const SIGNAL_ID_LENGTH_MAX = 128;

/** `"w"` of node.parked. */
export interface WaitInfo {
  kind: "signal" | "approval" | "child";
  /** Its address; not of children. */
  token?: string;
  /** signal: its name, and what its payload must fit. */
  signal?: string;
  schema?: Json;
  /** approval: the node's id and what is asked, of whom (nobody named: anybody), how many must agree. */
  node?: string;
  title?: string;
  description?: string;
  assignees?: string[];
  form?: Json;
  required?: number;
  /** child: its run id. */
  run?: string;
}

/** One person's decision. */
export interface Decision {
  actor: string;
  approved: boolean;
  data: Json;
  /** Redis time, ms. */
  at: number;
}

/** Value that a token goes on with: payload of an entry of kind `v`, `"v"` of node.resumed. */
export type WaitAnswer =
  | { kind: "signal"; name: string; id: string; data: Json }
  | { kind: "callback"; id: string; data: Json }
  | { kind: "approval"; approved: boolean; decisions: Decision[] }
  | { kind: "timeout"; of?: "queue" | "node" }
  | { kind: "child"; run: string; status: string }
  | ManualAnswer;

/** What somebody decided about a token by hand, and who (scripts/intervene_token.lua). */
export interface ManualAnswer {
  kind: "manual";
  action: "complete" | "fail" | "skip" | "retry";
  /** complete: the node's output. */
  output?: Json;
  /** fail: the node's error. */
  error?: { code: string; message: string };
  /** retry: what the node is executed with from now on, in the place of its own input. */
  input?: Json;
  by: string;
  why?: string;
}

/** The answer with `each` of the values that somebody has given with it. */
export function mapGiven(answer: WaitAnswer, each: (given: Json) => Json): WaitAnswer {
  switch (answer.kind) {
    case "signal":
    case "callback":
      return { ...answer, data: each(answer.data) };
    case "approval": {
      const decisions = answer.decisions.map((one) => ({ ...one, data: each(one.data) }));
      return { ...answer, decisions };
    }
    case "manual": {
      const { output, input } = answer;
      return {
        ...answer,
        ...(output !== undefined && { output: each(output) }),
        ...(input !== undefined && { input: each(input) }),
      };
    }
    default:
      return answer;
  }
}

export interface WaitAddress {
  /** Run, or `<run>!<home>` of a map element. */
  unit: string;
  runId: string;
  node: number;
  secret: string;
}

/** The address of a wait as it is given to people and programs. */
export function waitToken(unit: string, node: number, secret: string): string {
  return `${unit}.${node}-${secret}`;
}

const TOKEN = /^([^.!\s]+)(![^.\s]+)?\.(\d{1,6})-([\w-]{8,64})$/;

/** Takes an address apart; null if it is none. */
export function parseWaitToken(token: string): WaitAddress | null {
  const match = TOKEN.exec(token);
  if (match === null) {
    return null;
  }
  const [, runId = "", home = "", node, secret = ""] = match;
  return { unit: runId + home, runId, node: Number(node), secret };
}

/**
 * What the run's field `w<node>` begins with while the token is parked: signal, secret, approvals
 * needed, who may decide, each followed by 0x1F. The queue of the node and the JSON of the wait come
 * after it (scripts/include/complete_wait.lua).
 */
export function waitFacts(wait: WaitInfo): string {
  const secret = parseWaitToken(wait.token ?? "")?.secret ?? "";
  const required = wait.kind === "approval" ? String(wait.required ?? 1) : "";
  const names = (wait.assignees ?? []).map((name) => JSON.stringify(name));
  const assignees = names.length === 0 ? "" : `\x1e${names.join("\x1e")}\x1e`;
  return `${[wait.signal ?? "", secret, required, assignees].join("\x1f")}\x1f`;
}

/** The whole field. */
export function packWait(wait: WaitInfo, queueKey: string): string {
  return `${waitFacts(wait)}${queueKey}\x1f${JSON.stringify(wait)}`;
}

export interface ParkedToken {
  wait: WaitInfo;
  secret: string;
  queueKey: string;
}

/** What a parked token waits for, from the field `w<node>`; null if it does not wait. */
export function parseWait(field: string | null | undefined): ParkedToken | null {
  const [, secret = "", , , queueKey = "", json] = field?.split("\x1f") ?? [];
  return json === undefined ? null : { wait: JSON.parse(json) as WaitInfo, secret, queueKey };
}

/**
 * The field `w<node>` after the wait, as scripts/include/wait_over.lua has it: keeps a late worker from
 * parking that attempt again, and names the child that the next one has to end.
 */
export function waitOver(attempt: number, scope: string, child?: string): string {
  return `=${attempt}|${scope}${child === undefined ? "" : `|${child}`}`;
}

/** The child that such a field names, if its wait was in this scope. */
export function lastChild(field: string | undefined, scope: string): string | undefined {
  const [, place, child] = /^=\d+\|([^|]*)\|(.+)$/.exec(field ?? "") ?? [];
  return place === scope ? child : undefined;
}

/** A token that waits for a signal: `<node>|<home>|<scope>|<attempt>|<queue key>`. */
export type Waiter = string;

/** Fields of a signals hash that say who waits for `name`, the oldest first (include/waiters.lua). */
export function lineFields(name: string, waiters: readonly Waiter[]): { [field: string]: string } {
  const count = waiters.length;
  const fields = count === 0 ? {} : { [`w:${name}`]: `0|${count}|${count}` };
  const places = waiters.flatMap((waiter, number) => {
    const [node, home] = waiter.split("|");
    return [
      [`v${number}:${name}`, waiter],
      [`u${node}|${home}`, `${number}:${name}`],
    ];
  });
  return { ...fields, ...(Object.fromEntries(places) as { [field: string]: string }) };
}

/** Who waits for what, by name, the oldest first; without those whom no signal would find. */
export function linesOf(signals: { readonly [field: string]: string }): Map<string, Waiter[]> {
  const lines = new Map<string, [number: number, Waiter][]>();
  for (const [field, waiter] of Object.entries(signals)) {
    const [, number = "", name = ""] = /^v(\d+):([^]*)$/.exec(field) ?? [];
    const [first = 0, next = 0] = (signals[`w:${name}`] ?? "").split("|").map(Number);
    if (number !== "" && Number(number) >= first && Number(number) < next) {
      const line = lines.get(name) ?? [];
      line.push([Number(number), waiter]);
      lines.set(name, line);
    }
  }
  const inOrder = (line: [number, Waiter][]): Waiter[] =>
    line.sort(([a], [b]) => a - b).map(([, waiter]) => waiter);
  return new Map([...lines].map(([name, line]) => [name, inOrder(line)]));
}

/** Schemas of the waits for `signal` in a workflow, its maps' bodies included. Empty: none waits. */
export function signalSchemas(ir: Ir, signal: string): (Json | undefined)[] {
  return ir.nodes.flatMap((node) => {
    const inside = node.body === undefined ? [] : signalSchemas(node.body, signal);
    const own = node.type === "wait" && node.config["signal"] === signal;
    return own ? [node.config["schema"], ...inside] : inside;
  });
}

/** Names of the signals that a workflow waits for, sorted. */
export function signalNames(ir: Ir): string[] {
  const names = ir.nodes.flatMap((node) => [
    ...(node.body === undefined ? [] : signalNames(node.body)),
    ...(node.type === "wait" ? [String(node.config["signal"])] : []),
  ]);
  return [...new Set(names)].sort();
}
