/** Reading one node of the document: its own properties, its loop and its branch. */
import { rewriteLegacy } from "../condition/index.ts";
import { readConfig } from "./config.ts";
import type { Reporter } from "./diagnostics.ts";
import { asObject, own } from "./document.ts";
import type {
  DocumentBranch,
  DocumentJoin,
  DocumentLoop,
  DocumentNode,
  ExpressionSource,
  IdRef,
  JsonObject,
} from "./document.ts";
import type { Json, NodeType } from "./ir.ts";
import { LOOP_PROPERTIES, LOOP_SCHEMA } from "./kinds/loop-properties.ts";
import { resolveType, TYPE_NAMES } from "./kinds/types.ts";
import {
  readCache,
  readCircuitBreaker,
  readCompensation,
  readRateLimit,
  readRetry,
} from "./read-policy.ts";
import { readSchema } from "./read-schema.ts";
import { reportShape } from "./report-shape.ts";
import { checkSchema, describeValue } from "./schema-check.ts";

/** The node in `entry`, without the body of a map; undefined if it has no usable id. */
export function readNode(
  entry: JsonObject,
  pointer: string,
  reporter: Reporter,
): DocumentNode | undefined {
  const id = own(entry, "id");
  if (typeof id !== "string") return undefined;
  const type = readType(own(entry, "type"), pointer, reporter);
  const branch = readBranch(own(entry, "branch"), `${pointer}/branch`);
  const config = asObject(own(entry, "config")) ?? {};
  const isSteering = type === "conditional" || branch !== null;
  const isAll = type === "conditional" && own(config, "mode") === "all";
  const timeout = own(entry, "timeout_ms");
  const queue = own(entry, "queue");
  const expected = own(entry, "expected_ms");
  const status = own(entry, "sets_status");
  const queueTimeout = own(entry, "queue_timeout_ms");
  const compensate = readCompensation(own(entry, "compensate"));
  const rateLimit = readRateLimit(own(entry, "rate_limit"));
  const circuit = readCircuitBreaker(own(entry, "circuit_breaker"));
  return {
    id,
    pointer,
    type,
    config: readConfig(config, { id, type, pointer, isSteering }, reporter),
    timeoutMs: typeof timeout === "number" ? timeout : null,
    retry: readRetry(own(entry, "retry")),
    retryPointer: `${pointer}/retry`,
    isPure: own(entry, "pure") === true,
    expectedMs: typeof expected === "number" ? expected : null,
    setsStatus: typeof status === "string" ? status : null,
    queueTimeoutMs: typeof queueTimeout === "number" ? queueTimeout : null,
    rateLimit: rateLimit && { value: rateLimit, pointer: `${pointer}/rate_limit` },
    circuitBreaker: circuit && { value: circuit, pointer: `${pointer}/circuit_breaker` },
    compensate: compensate && { value: compensate, pointer: `${pointer}/compensate` },
    queue: typeof queue === "string" ? queue : null,
    join: readJoin(entry, pointer, reporter),
    loop: readLoop(entry, id, type, pointer, reporter),
    branch,
    routing: isSteering ? (isAll ? "all" : "first") : "each",
    onNoMatch: isSteering && own(config, "on_no_match") === "skip" ? "skip" : "error",
    cache: readCache(own(entry, "cache")),
    inputSchema: readSchema(entry, "input_schema", pointer, reporter),
    outputSchema: readSchema(entry, "output_schema", pointer, reporter),
    body: null,
  };
}

function readType(value: Json | undefined, pointer: string, reporter: Reporter): NodeType | null {
  if (typeof value !== "string") return null;
  const type = resolveType(value);
  if (type) return type;
  reporter.report({
    code: "GV4001",
    pointer: `${pointer}/type`,
    message: `unknown node type \`${value}\``,
    hint: `there is: ${TYPE_NAMES.join(", ")}`,
    meant: { name: value, known: TYPE_NAMES },
  });
  return null;
}

function readJoin(entry: JsonObject, pointer: string, reporter: Reporter): DocumentJoin {
  const join = own(entry, "join");
  const waitForAll = own(entry, "wait_for_all");
  const parts = asObject(join) ?? {};
  const count = own(parts, "count");
  const mode = asObject(join) ? own(parts, "mode") : join;
  const older = waitForAll === false ? "any" : "all";
  if (join === undefined || typeof waitForAll === "boolean") {
    const isSame = join === undefined || mode === older;
    if (!isSame) {
      const message = `\`join\` and \`wait_for_all: ${String(waitForAll)}\` contradict each other`;
      const related = [{ message: "join", pointer: `${pointer}/join` }];
      const at = `${pointer}/wait_for_all`;
      reporter.report({ code: "GV1016", pointer: at, atKey: true, message, related });
    }
    if (join === undefined) return { kind: older, pointer: `${pointer}/wait_for_all` };
  }
  const cancels = own(parts, "cancel_losers") === true ? { cancelsLosers: true as const } : {};
  if (typeof count === "number") {
    return { kind: "count", count, pointer: `${pointer}/join/count`, ...cancels };
  }
  const kind = mode === "any" || mode === "settled" ? mode : "all";
  return { kind, pointer: `${pointer}/join`, ...cancels };
}

function readLoop(
  entry: JsonObject,
  id: string,
  type: NodeType | null,
  pointer: string,
  reporter: Reporter,
): DocumentLoop | null {
  const property = asObject(own(entry, "loop"));
  const config = asObject(own(entry, "config")) ?? {};
  if (property) {
    reportShape(checkSchema(LOOP_SCHEMA, property), `${pointer}/loop`, reporter);
    const again = Object.keys(LOOP_PROPERTIES).find((key) => own(config, key) !== undefined);
    if (type === "loop" && again !== undefined) {
      const message = `\`${id}\` has a loop in \`loop\` and another one in \`config\``;
      const related = [{ message: `config.${again}`, pointer: `${pointer}/config/${again}` }];
      reporter.report({
        code: "GV2015",
        pointer: `${pointer}/loop`,
        atKey: true,
        message,
        related,
      });
    }
    return readLoopKeys(property, id, `${pointer}/loop`, reporter);
  }
  if (type !== "loop") return null;
  const hasConfig = own(entry, "config") !== undefined;
  return readLoopKeys(config, id, hasConfig ? `${pointer}/config` : pointer, reporter);
}

function readLoopKeys(
  keys: JsonObject,
  id: string,
  pointer: string,
  reporter: Reporter,
): DocumentLoop {
  const rounds = own(keys, "max_iterations");
  const isCount = typeof rounds === "number" && Number.isSafeInteger(rounds) && rounds >= 1;
  if (!isCount) {
    const message =
      rounds === undefined
        ? `the loop \`${id}\` has no max_iterations: nothing would end it`
        : `max_iterations must be an integer from 1, not ${describeValue(rounds)}`;
    const at = rounds === undefined ? pointer : `${pointer}/max_iterations`;
    reporter.report({ code: "GV2010", pointer: at, message });
  }
  const condition = readCondition(own(keys, "condition"), `${pointer}/condition`);
  if (!condition) {
    const message = `the loop \`${id}\` has no condition`;
    const hint = 'say when another round is wanted, e.g. "condition": "iteration < 3"';
    reporter.report({ code: "GV2016", pointer, message, hint });
  }
  const head = own(keys, "loop_back_to");
  const delay = own(keys, "delay_ms");
  return {
    pointer,
    head: {
      id: typeof head === "string" ? head : id,
      pointer: head === undefined ? pointer : `${pointer}/loop_back_to`,
    },
    condition,
    maxIterations: isCount ? rounds : 1,
    breakPath: readTargets(own(keys, "break_path"), `${pointer}/break_path`),
    timeoutPath: readTargets(own(keys, "timeout_path"), `${pointer}/timeout_path`),
    delayMs: typeof delay === "number" ? delay : 0,
  };
}

function readBranch(value: Json | undefined, pointer: string): DocumentBranch | null {
  const branch = asObject(value);
  if (!branch) return null;
  const list = own(branch, "rules");
  const rules = (Array.isArray(list) ? list : []).flatMap((entry, i) => {
    const rule = asObject(entry) ?? {};
    const at = `${pointer}/rules/${i}`;
    const condition = readCondition(own(rule, "condition"), `${at}/condition`);
    const targets = readTargets(own(rule, "next_nodes"), `${at}/next_nodes`);
    return condition ? [{ condition, targets }] : [];
  });
  return { rules, default: readTargets(own(branch, "default"), `${pointer}/default`) };
}

/** The ids in a list of ids, or in a single one. */
function readTargets(value: Json | undefined, pointer: string): IdRef[] {
  if (!Array.isArray(value)) {
    const single = idRef(value, pointer);
    return single ? [single] : [];
  }
  return value.flatMap((id, i) => {
    const ref = idRef(id, `${pointer}/${i}`);
    return ref ? [ref] : [];
  });
}

/** A node id with its place, or undefined if it is no string. */
export function idRef(value: Json | undefined, pointer: string): IdRef | undefined {
  return typeof value === "string" ? { id: value, pointer } : undefined;
}

/** The CEL of a condition; `true` and `false` may be written as booleans. */
export function readCondition(value: Json | undefined, pointer: string): ExpressionSource | null {
  if (typeof value === "boolean") return { source: `${value}`, pointer, isAsWritten: false };
  if (typeof value !== "string") return null;
  const source = rewriteLegacy(value, "condition");
  return { source, pointer, isAsWritten: source === value };
}
