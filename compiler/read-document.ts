/**
 * From a JSON value to the document, reporting whatever has the wrong shape.
 *
 * Reading goes on after a problem, so that all of them are told at once: what the schema has
 * reported is left out or replaced by its default here, silently.
 */
import type { Reporter } from "./diagnostics.ts";
import { DOCUMENT_SCHEMA } from "./document-schema.ts";
import { asObject, own } from "./document.ts";
import type { JsonObject, WorkflowDocument } from "./document.ts";
import type { IrSettings, Json } from "./ir.ts";
import type { Limits } from "./limits.ts";
import { GraphReader, scanBodies } from "./read-graph.ts";
import type { BodyScan } from "./read-graph.ts";
import { readConcurrency, readRateLimit } from "./read-policy.ts";
import { reportShape } from "./report-shape.ts";
import { nodeKeyHint } from "./slips.ts";
import { readSchema } from "./read-schema.ts";
import { checkSchema } from "./schema-check.ts";
import { joinPointer } from "./source-map.ts";

/** The document in `value`; undefined if it is none, or so large that it is not looked into. */
export function readDocument(
  value: Json,
  limits: Limits,
  reporter: Reporter,
): WorkflowDocument | undefined {
  const root = asObject(value);
  if (!root) {
    const message = "a workflow is an object with `nodes` and `edges`";
    reporter.report({ code: "GV1005", pointer: "", message });
    return undefined;
  }
  const scan = scanBodies(root);
  if (exceedsLimits(scan, root, limits, reporter)) return undefined;
  reportShape(checkSchema(DOCUMENT_SCHEMA, value), "", reporter, ({ kind, meant, pointer }) => {
    const at = /^\/nodes\/(\d+)\/[^/]*$/.exec(pointer)?.[1];
    if (kind !== "unknown" || !meant || at === undefined) return undefined;
    const nodes = own(root, "nodes");
    const node = Array.isArray(nodes) ? asObject(nodes[Number(at)]) : undefined;
    return nodeKeyHint(meant.name, node && own(node, "type"));
  });
  const metadata = readMetadata(root, reporter);
  const inputSchema = readSchema(root, "input_schema", "", reporter);
  const reader = new GraphReader(scan.ids, reporter);
  const graph = reader.read(root);
  const settings = readSettings(root);
  return { ...metadata, inputSchema, ...graph, settings, homes: reader.homes };
}

function exceedsLimits(
  scan: BodyScan,
  root: JsonObject,
  limits: Limits,
  reporter: Reporter,
): boolean {
  let isOver = false;
  for (const part of ["nodes", "edges"] as const) {
    if (scan[part] <= limits[part]) continue;
    isOver = true;
    const list = own(root, part);
    const isAll = Array.isArray(list) && list.length === scan[part];
    const count = `${scan[part]} ${part}${isAll ? "" : " with those in bodies of maps"}`;
    const message = `${count}, the limit is ${limits[part]}`;
    reporter.report({ code: "GV1008", pointer: `/${part}`, atKey: true, message });
  }
  return isOver;
}

const METADATA_KEYS = ["name", "version", "description", "tags"] as const;

function readMetadata(
  root: JsonObject,
  reporter: Reporter,
): { name: string; workflowVersion: string } {
  const metadata = asObject(own(root, "metadata")) ?? {};
  for (const key of Object.keys(metadata)) {
    if (METADATA_KEYS.some((known) => known === key)) continue;
    const pointer = joinPointer("/metadata", key);
    const message = `unknown property \`${key}\` in metadata; it is ignored`;
    reporter.report({ code: "GV1018", pointer, atKey: true, message });
  }
  for (const key of METADATA_KEYS) {
    const inner = own(metadata, key);
    const outer = own(root, key);
    if (inner === undefined || outer === undefined) continue;
    if (JSON.stringify(inner) === JSON.stringify(outer)) continue;
    reporter.report({
      code: "GV1016",
      pointer: `/${key}`,
      atKey: true,
      message: `\`${key}\` and \`metadata.${key}\` differ`,
      related: [{ message: `metadata.${key}`, pointer: `/metadata/${key}` }],
    });
  }
  const name = own(metadata, "name") ?? own(root, "name");
  const version = own(metadata, "version") ?? own(root, "version");
  if (name === undefined || name === "") {
    const message = "the workflow has no name; it is called `unnamed`";
    reporter.report({ code: "GV1017", pointer: "", message });
  }
  return {
    name: typeof name === "string" && name !== "" ? name : "unnamed",
    workflowVersion: typeof version === "string" || typeof version === "number" ? `${version}` : "",
  };
}

function readSettings(root: JsonObject): IrSettings {
  const settings = asObject(own(root, "settings")) ?? {};
  const timeout = own(settings, "timeout_ms");
  const priority = own(settings, "priority");
  const concurrency = readConcurrency(own(settings, "concurrency"));
  const rateLimit = readRateLimit(own(settings, "rate_limit"));
  const errors = own(settings, "pause_after_errors");
  return {
    timeout_ms: typeof timeout === "number" ? timeout : null,
    priority: priority === "high" || priority === "low" ? priority : "normal",
    failure: own(settings, "failure") === "continue" ? "continue" : "fail_fast",
    ...(own(settings, "order") === "critical_path" ? { order: "critical_path" as const } : {}),
    ...(own(settings, "fusion") === false ? { fusion: false as const } : {}),
    ...(concurrency ? { concurrency } : {}),
    ...(rateLimit ? { rate_limit: rateLimit } : {}),
    ...(typeof errors === "number" ? { pause_after_errors: errors } : {}),
  };
}
