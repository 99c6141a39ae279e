/**
 * `delay`: when a node that waits is due. Waiting itself is a timer's business, not a worker's.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { beginsWithDay, compileTemplate } from "../../condition/index.ts";
import type { Template, Vars } from "../../condition/index.ts";
import { badInput, fill, perNode } from "./kind.ts";

const KEYS = ["delay_ms", "duration", "until"] as const;
type Key = (typeof KEYS)[number];

const settingOf = perNode<{ key: Key; template: Template }>((node) => {
  const key = KEYS.find((name) => node.config[name] !== undefined);
  if (key === undefined) throw badInput(node, `needs one of config.${KEYS.join(", config.")}`);
  return { key, template: compileTemplate(node.config[key] ?? null) };
});

/**
 * How long the node waits, in whole milliseconds from `nowMs` (epoch), 0 if its moment is past. `vars`
 * holds the node's input as `data`, which is also its output. Throws ExecutionError BAD_INPUT.
 */
export function delayOf(node: IrNode, vars: Vars, nowMs: number): number {
  const { key, template } = settingOf(node);
  const value = fill(node, `config.${key}`, template, vars);
  if (key === "until") return Math.max(0, Math.ceil(timestampMs(node, value) - nowMs));
  return key === "duration" ? durationMs(node, value) : plainMs(node, value);
}

function plainMs(node: IrNode, value: Json): number {
  const ms = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof ms === "number" && ms >= 0 && Number.isFinite(ms)) return Math.round(ms);
  throw badInput(node, "config.delay_ms must be a number of milliseconds, 0 or more");
}

const AMOUNT = String.raw`(\d+(?:\.\d+)?)`;
const DATE_PART = `(?:${AMOUNT}W)?(?:${AMOUNT}D)?`;
const TIME_PART = `(?:${AMOUNT}H)?(?:${AMOUNT}M)?(?:${AMOUNT}S)?`;
const ISO_DURATION = new RegExp(`^P${DATE_PART}(?:T${TIME_PART})?$`);
const UNITS_MS = [604_800_000, 86_400_000, 3_600_000, 60_000, 1000] as const;

/** Weeks to seconds. Years and months have no fixed length, so they are refused, not guessed. */
function durationMs(node: IrNode, value: Json): number {
  const match = typeof value === "string" ? ISO_DURATION.exec(value) : null;
  const parts = match?.slice(1) ?? [];
  if (!parts.some((part) => part !== undefined)) {
    throw badInput(
      node,
      "config.duration must be an ISO 8601 duration of weeks, days, hours, minutes and seconds, " +
        'e.g. "PT90S", "PT1H30M" or "P2D"',
    );
  }
  return Math.round(
    parts.reduce((total, part, i) => total + Number(part ?? 0) * (UNITS_MS[i] ?? 0), 0),
  );
}

/** A zone is required: without one the same file would mean another moment on another machine. */
const ZONED = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d))?$/;

function timestampMs(node: IrNode, value: Json): number {
  if (typeof value === "number" && Number.isFinite(value)) return Math.round(value);
  const isRead = typeof value === "string" && ZONED.test(value) && beginsWithDay(value);
  const ms = isRead ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw badInput(
    node,
    "config.until must be a timestamp with its time zone, e.g. 2030-01-31T08:00:00Z, " +
      "or epoch milliseconds",
  );
}
