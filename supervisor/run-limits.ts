/**
 * What an accepted run has to wait for: the keys of its workflow's settings, evaluated with its
 * input. A run of the tenant "" whose workflow has no such settings has no limits, and costs nothing.
 */
import { createHash } from "node:crypto";
import type { Ir, Json } from "../compiler/ir.ts";
import { compileTemplate } from "../condition/index.ts";
import type { RunLimits } from "../sdk/postgres/index.ts";
import type { SubmissionProblem } from "./submission.ts";

const TEXT_CHARS_MAX = 1024;

export interface LimitsOf {
  runId: string;
  tenant: string;
  namespace: string;
  input: Json;
  /** Named tenants have a number of places each. */
  hasTenantMax: boolean;
}

/** The limits of a run; undefined: it has none. What is wrong with its keys otherwise. */
export function limitsOf(ir: Ir, run: LimitsOf): RunLimits | undefined | SubmissionProblem[] {
  const { concurrency, rate_limit: rate } = ir.settings;
  const isCapped = run.hasTenantMax && run.tenant !== "";
  if (concurrency === undefined && rate === undefined) {
    return isCapped ? { key: null, rate: null } : undefined;
  }
  const problems: SubmissionProblem[] = [];
  const read = (name: string, template: string): { id: string; text: string } => {
    try {
      const text = keyText(template, ir, run);
      const parts = [name, run.tenant, run.namespace, ir.name, text];
      return { id: createHash("sha256").update(JSON.stringify(parts)).digest("hex"), text };
    } catch (error) {
      const path = `settings.${name}.key`;
      const reason = error instanceof Error ? error.message : String(error);
      problems.push({ code: "GV_BAD_INPUT", message: `${path} has no value: ${reason}`, path });
      return { id: "", text: "" };
    }
  };
  const limits: RunLimits = {
    key: concurrency
      ? {
          ...read("concurrency", concurrency.key),
          ...{ limit: concurrency.limit, onConflict: concurrency.on_conflict },
        }
      : null,
    rate: rate ? { ...read("rate_limit", rate.key), limit: rate.limit, perMs: rate.per_ms } : null,
  };
  return problems.length > 0 ? problems : limits;
}

function keyText(template: string, ir: Ir, { input, runId }: LimitsOf): string {
  const run = { id: runId, workflow: ir.name, version: ir.workflow_version, attempt: 1 };
  const value = compileTemplate(template).evaluate({ input, run });
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (text.length > TEXT_CHARS_MAX || text.includes("\0")) {
    throw new Error(`it may have ${TEXT_CHARS_MAX} characters, none of them U+0000`);
  }
  return text;
}
