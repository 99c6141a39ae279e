/**
 * The states form: `states: [{id, type, action, on_success, on_failure, retries, timeout}]`.
 *
 * A state machine by names. A run begins at `initial`, or the first state; unlike in a native file
 * a state that nothing leads to is a mistake and not another beginning.
 */
import { asObject, own } from "../document.ts";
import type { JsonObject } from "../document.ts";
import type { Json } from "../ir.ts";
import { joinPointer } from "../source-map.ts";
import { copyKeys, mapStrings, readList, reportAt, reportLoss } from "./front-end.ts";
import type { FrontContext, FrontEnd } from "./front-end.ts";
import { applyType, readCommon, reportEdges, reportTriggers } from "./steps.ts";

/** Keys that say where a state leads, and what kind of edge that is. */
const PATHS = { on_success: "success", on_failure: "error", on_timeout: "timeout" } as const;
const HANDLED = ["timeout", "retries", "name", "action", "params", "input", ...Object.keys(PATHS)];

/** Words that end the run where no state has that name: well, or as a failure. */
const GOOD_ENDS: ReadonlySet<string> = new Set(["end", "done", "complete"]);
const BAD_ENDS: ReadonlySet<string> = new Set(["fail", "abort"]);

/** Of a state's id in the id of an end that is made for it. */
const ID_CHARS_MAX = 150;

/** Keys of a state that belong into the config of its type. */
const CONFIG_KEYS: Readonly<Record<string, readonly string[]>> = {
  http: ["url", "method", "headers", "query", "body", "auth", "expected_status"],
  llm: ["model", "prompt", "messages", "system", "temperature", "max_tokens", "response_schema"],
};

interface State {
  item: JsonObject;
  pointer: string;
  id: Json | undefined;
}

interface Target {
  id: string;
  pointer: string;
}

/** Where a key of a state leads: states, and words that end the run. */
interface Targets {
  states: Target[];
  goodEnd: Target | undefined;
  badEnd: Target | undefined;
}

/** Nodes that are made to end the run, and the ids that are no more to be had. */
interface Ends {
  nodes: JsonObject[];
  taken: Set<string>;
}

export const readStates: FrontEnd = (root, context) => {
  const document = copyKeys(root, ["states", "edges", "triggers", "initial", "start"]);
  reportTriggers(root, context);
  reportEdges(root, "`on_success`, `on_failure` and `on_timeout` say where a state leads", context);
  const states = readList(root, "states", context).map(({ item, pointer }): State => {
    const id = own(item, "id") ?? own(item, "name");
    return { item, pointer, id };
  });
  const ids = new Set(states.flatMap(({ id }) => (typeof id === "string" ? [id] : [])));
  const ends: Ends = { nodes: [], taken: new Set(ids) };
  const edges = states.flatMap((state) => edgesOf(state, ids, ends, context));
  const before = new Map<string, number>();
  for (const { to } of edges) before.set(to, (before.get(to) ?? 0) + 1);
  const nodes = [...states.map((state) => readState(state, before, context)), ...ends.nodes];
  checkReached(root, states, edges, context);
  context.draft.at(document, "");
  context.draft.set(document, "nodes", nodes, "/states");
  context.draft.set(document, "edges", edges, "/states");
  return document;
};

type Edge = JsonObject & { from: string; to: string };

function edgesOf(
  state: State,
  ids: ReadonlySet<string>,
  ends: Ends,
  context: FrontContext,
): Edge[] {
  const { id: from } = state;
  if (typeof from !== "string") return [];
  const all = Object.keys(PATHS).map(
    (key) => [key as keyof typeof PATHS, targetsOf(state, key, ids, context)] as const,
  );
  // A failure by time goes where others go, if it has no way of its own.
  const handles = (key: keyof typeof PATHS): boolean =>
    all.some(([one, { states, goodEnd }]) => one === key && (states.length > 0 || goodEnd));
  return all.flatMap(([key, { states, goodEnd, badEnd }]) => {
    const isFailure = key !== "on_success";
    const isOther = states.length > 0 || goodEnd !== undefined;
    const isRest = key === "on_timeout" && handles("on_failure");
    let made: Target | undefined;
    // A success that nothing follows is a good end, and a failure that nothing follows a bad one.
    if (badEnd) made = !isFailure || isOther || isRest ? badEnd : undefined;
    else if (isFailure && states.length === 0) made = goodEnd;
    const end = made && endOf(from, made, isFailure, ends.taken, context);
    if (end) ends.nodes.push(end);
    const endId = end && { id: String(end["id"]), pointer: made?.pointer ?? state.pointer };
    return [...states, ...(endId ? [endId] : [])].map(({ id: to, pointer }) => {
      const on = PATHS[key];
      const edge: Edge = { from, to, ...(on === "success" ? {} : { on }) };
      context.draft.key(edge, "to", pointer);
      return context.draft.at(edge, pointer);
    });
  });
}

/**
 * The node that ends the run. Each way has one of its own: several that lead to one would wait for one
 * another.
 */
function endOf(
  from: string,
  { id: word, pointer }: Target,
  isFailure: boolean,
  taken: Set<string>,
  { draft }: FrontContext,
): JsonObject {
  const plain = `${from.slice(0, ID_CHARS_MAX)}_${isFailure ? "failed_" : ""}${word}`;
  let id = plain;
  for (let n = 2; taken.has(id); n++) id = `${plain}_${n}`;
  taken.add(id);
  if (GOOD_ENDS.has(word)) return draft.at({ id, type: "end" }, pointer);
  const said = { code: "FAILED", message: `state ${from} leads to \`${word}\`` };
  const failed = { code: "${data.error.code}", message: "${data.error.message}" };
  const config = { function_name: "builtin.fail", params: isFailure ? failed : said };
  return draft.at({ id, type: "function", config }, pointer);
}

function targetsOf(
  { item, pointer }: State,
  key: string,
  ids: ReadonlySet<string>,
  context: FrontContext,
): Targets {
  const value = own(item, key) ?? [];
  const base = joinPointer(pointer, key);
  const targets: Targets = { states: [], goodEnd: undefined, badEnd: undefined };
  for (const [i, id] of (Array.isArray(value) ? value : [value]).entries()) {
    const at = Array.isArray(value) ? joinPointer(base, i) : base;
    if (typeof id !== "string") {
      const message = `\`${key}\` must be the name of a state, or a list of them`;
      reportAt(context, "GV1013", at, message);
    } else if (ids.has(id)) targets.states.push({ id, pointer: at });
    else if (GOOD_ENDS.has(id)) targets.goodEnd ??= { id, pointer: at };
    else if (BAD_ENDS.has(id)) targets.badEnd ??= { id, pointer: at };
    else targets.states.push({ id, pointer: at });
  }
  return targets;
}

function readState(
  state: State,
  before: ReadonlyMap<string, number>,
  context: FrontContext,
): JsonObject {
  const { item, pointer, id } = state;
  const { draft } = context;
  const node = draft.at(copyKeys(item, HANDLED), pointer);
  const name = own(item, "name");
  if (own(item, "id") === undefined && id !== undefined) {
    draft.set(node, "id", id, `${pointer}/name`);
  } else if (name !== undefined && own(item, "description") === undefined) {
    draft.set(node, "description", name, `${pointer}/name`);
  }
  readCommon(item, node, pointer, context);
  readAction(item, node, pointer, context);
  gatherConfig(item, node, pointer, context);
  const count = typeof id === "string" ? (before.get(id) ?? 0) : 0;
  if (own(node, "config") !== undefined) {
    const config = own(node, "config") ?? null;
    const filled = mapStrings(config, `${pointer}/config`, (text, at) =>
      readPrevious(text, sourceOf(item, pointer, at), count, context),
    );
    const hasPlaces = asObject(config) && asObject(filled);
    node["config"] = hasPlaces ? (draft.like(filled as object, config as object) as Json) : filled;
  }
  return node;
}

/** The place in the file of a part of the config: keys may stand beside `config` too. */
function sourceOf(item: JsonObject, pointer: string, at: string): string {
  const base = `${pointer}/config/`;
  const [key = ""] = at.slice(base.length).split("/");
  const inside = asObject(own(item, "config")) ?? {};
  const isBeside = at.startsWith(base) && own(inside, key) === undefined;
  return isBeside && own(item, key) !== undefined ? `${pointer}/${at.slice(base.length)}` : at;
}

/**
 * Of several states that lead here the one that did so is the only one in the input. A state that
 * nothing leads to has no `prev`.
 */
function readPrevious(text: string, at: string, before: number, context: FrontContext): string {
  const pattern = /\{\{\s*prev\.output((?:\.[A-Za-z_]\w*|\[\d+\])*)\s*\}\}/g;
  if (before === 1 || text.search(pattern) < 0) return text;
  if (before > 1) return text.replace(pattern, "${values(data)[0]$1}");
  const message = "`prev` is read in the first state: no state was before it";
  reportAt(context, "GV5003", at, message, "read the run's input with {{inputs.…}}");
  return text;
}

/** `action`: the function of a task, the request of an http call. */
function readAction(
  item: JsonObject,
  node: JsonObject,
  pointer: string,
  context: FrontContext,
): void {
  const action = own(item, "action");
  const at = `${pointer}/action`;
  applyType(item, node, pointer, context);
  if (action === undefined) return;
  if (typeof action !== "string" || action === "") {
    return reportAt(context, "GV1013", at, "`action` must be the name of a function");
  }
  const type = own(node, "type");
  if (type === "http") return readRequest(action, node, at, context);
  const config = asObject(own(node, "config")) ?? {};
  const hasPrompt = [config, item].some((some) => "prompt" in some || "messages" in some);
  if ((type === "ai_task" || type === "llm") && hasPrompt) {
    const message = "`action` says nothing beside a prompt: it is left out";
    return reportLoss(context, at, message);
  }
  if (type === "ai_task" || type === "llm") {
    // Without a prompt there is nothing to ask a model: the function of that name does the work.
    context.draft.set(node, "type", "function", `${pointer}/type`);
  }
  const named = own(config, "function_name");
  if (named !== undefined && named !== action) {
    const message = "`action` and `config.function_name` name different functions";
    return context.reporter.report({ code: "GV1016", pointer: at, atKey: true, message });
  }
  setConfig(node, "function_name", action, at, context);
}

/** `GET https://…`, or only the address. */
function readRequest(action: string, node: JsonObject, at: string, context: FrontContext): void {
  const match = /^(?:([A-Za-z]+)\s+)?(\S+)$/.exec(action.trim());
  const [, method, url = action] = match ?? [];
  if (!/^https?:|[{$]/.test(url)) {
    const message = "the `action` of an http call must be a method and an address";
    return reportAt(context, "GV1013", at, message, 'e.g. "GET https://api.example.com/orders"');
  }
  setConfig(node, "url", url, at, context);
  if (method !== undefined) setConfig(node, "method", method.toUpperCase(), at, context);
}

function setConfig(
  node: JsonObject,
  key: string,
  value: Json,
  pointer: string,
  context: FrontContext,
): void {
  const before = asObject(own(node, "config"));
  const config = { ...before };
  context.draft.set(config, key, value, pointer);
  node["config"] = config;
}

/** Keys that stand beside `config` and belong into it. */
function gatherConfig(
  item: JsonObject,
  node: JsonObject,
  pointer: string,
  context: FrontContext,
): void {
  const type = own(node, "type");
  const kind = type === "ai_task" ? "llm" : typeof type === "string" ? type : "";
  const moved = Object.hasOwn(CONFIG_KEYS, kind) ? (CONFIG_KEYS[kind] ?? []) : [];
  for (const key of [...moved, "params", "input"]) {
    const value = own(item, key);
    if (value === undefined) continue;
    const inside = asObject(own(item, "config")) ?? {};
    const at = joinPointer(pointer, key);
    if (own(inside, key) !== undefined) {
      const message = `\`${key}\` stands beside \`config\` and in it: keep one of the two`;
      context.reporter.report({ code: "GV1016", pointer: at, atKey: true, message });
    }
    setConfig(node, key, value, at, context);
    delete node[key];
  }
}

/** States that no way from the beginning leads to. */
function checkReached(
  root: JsonObject,
  states: readonly State[],
  edges: readonly Edge[],
  context: FrontContext,
): void {
  const said = own(root, "initial") !== undefined ? "initial" : "start";
  const initial = own(root, said) ?? states[0]?.id;
  if (typeof initial !== "string") return;
  if (!states.some(({ id }) => id === initial)) {
    const message = `the run begins at \`${initial}\`, but there is no such state`;
    return reportAt(context, "GV2001", `/${said}`, message);
  }
  if (hasOwnPaths(states)) return;
  const leads = new Map<string, string[]>();
  for (const { from, to } of edges) {
    const known = leads.get(from);
    if (known) known.push(to);
    else leads.set(from, [to]);
  }
  const reached = new Set([initial]);
  const open = [initial];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const to of leads.get(at) ?? []) {
      if (reached.has(to)) continue;
      reached.add(to);
      open.push(to);
    }
  }
  for (const { id, pointer, item } of states) {
    if (typeof id !== "string" || reached.has(id)) continue;
    const at = own(item, "id") === undefined ? `${pointer}/name` : `${pointer}/id`;
    const message = `\`${id}\` cannot be reached: no state leads to it from \`${initial}\``;
    reportAt(context, "GV2005", at, message);
  }
}

/** Native ways to say where a node leads are left to the compiler. */
function hasOwnPaths(states: readonly State[]): boolean {
  return states.some(({ item }) => {
    const config = asObject(own(item, "config")) ?? {};
    return "branch" in item || "loop" in item || "break_path" in config;
  });
}
