/** What every front end is given, and small things that several of them need. */
import type { DiagnosticCode, Reporter } from "../diagnostics.ts";
import { asObject, own } from "../document.ts";
import type { JsonObject } from "../document.ts";
import type { Json } from "../ir.ts";
import { describeValue } from "../schema-check.ts";
import { joinPointer } from "../source-map.ts";
import type { Draft } from "./draft.ts";

export interface FrontContext {
  draft: Draft;
  /** Places are those of the source. */
  reporter: Reporter;
  /** The file's name without folder and ending, if it is known. */
  fileName: string | undefined;
}

/** Makes a native document of a file in its dialect; whatever it cannot say is reported. */
export type FrontEnd = (root: JsonObject, context: FrontContext) => JsonObject;

/** Something that has an equal only in part, or none. */
export function reportAt(
  context: FrontContext,
  code: DiagnosticCode,
  pointer: string,
  message: string,
  hint?: string,
): void {
  context.reporter.report({ code, pointer, message, ...(hint === undefined ? {} : { hint }) });
}

/** A key that is left out: what it says has no equal. */
export function reportLoss(
  context: FrontContext,
  pointer: string,
  message: string,
  hint?: string,
): void {
  const more = hint === undefined ? {} : { hint };
  context.reporter.report({ code: "GV5002", pointer, atKey: true, message, ...more });
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of `90s`, `1h30m`, `500ms` or ISO 8601 without months and years; undefined if none. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim().toLowerCase();
  const plain = trimmed.startsWith("p") ? isoParts(trimmed) : trimmed;
  if (plain === undefined || !/^(?:\d+(?:\.\d+)?(?:ms|[smhd])\s*)+$/.test(plain)) return undefined;
  let total = 0;
  for (const [, amount = "", unit = ""] of plain.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    total += Number(amount) * (UNITS[unit] ?? 0);
  }
  return Math.round(total);
}

/** `pt1h30m` as `1h30m`, `p2d` as `2d`; a month is not a minute. */
function isoParts(text: string): string | undefined {
  const match = /^p(\d+d)?(?:t((?:\d+h)?(?:\d+m)?(?:\d+(?:\.\d+)?s)?))?$/.exec(text);
  const parts = match && `${match[1] ?? ""}${match[2] ?? ""}`;
  return parts === null || parts === "" ? undefined : parts;
}

/** Milliseconds of a duration that stands under a key; reported if it is none. */
export function readDuration(
  value: Json,
  pointer: string,
  name: string,
  context: FrontContext,
): number | undefined {
  const ms = typeof value === "string" ? parseDuration(value) : undefined;
  if (ms !== undefined && ms > 0) return ms;
  const message = `\`${name}\` must be a duration with its unit, not ${describeValue(value)}`;
  reportAt(context, "GV1013", pointer, message, "write 500ms, 60s, 5m, 1h30m or PT90S");
  return undefined;
}

/** Every string of a value put through `change`; what does not change is not copied. */
export function mapStrings(
  value: Json,
  pointer: string,
  change: (text: string, pointer: string) => string,
): Json {
  if (typeof value === "string") return change(value, pointer);
  if (Array.isArray(value)) {
    const items = value.map((item, i) => mapStrings(item, joinPointer(pointer, i), change));
    return items.some((item, i) => item !== value[i]) ? items : value;
  }
  const object = asObject(value);
  if (!object) return value;
  const entries = Object.entries(object).map(([key, item]): [string, Json] => [
    key,
    mapStrings(item, joinPointer(pointer, key), change),
  ]);
  return entries.some(([key, item]) => item !== own(object, key))
    ? Object.fromEntries(entries)
    : value;
}

/** Copy the keys of `from` that are not in `without`; they keep their places by their names. */
export function copyKeys(from: JsonObject, without: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(from).filter(([key]) => !without.includes(key)));
}

/** A list of objects under a key; reported if it is missing or something else. */
export function readList(
  root: JsonObject,
  key: string,
  context: FrontContext,
): { item: JsonObject; pointer: string }[] {
  const list = own(root, key);
  if (!Array.isArray(list) || list.length === 0) {
    const found = list === undefined ? "it is missing" : `not ${describeValue(list)}`;
    const message = `\`${key}\` must be a list of at least one object, ${found}`;
    reportAt(context, "GV1013", list === undefined ? "" : `/${key}`, message);
    return [];
  }
  return list.flatMap((entry, i) => {
    const item = asObject(entry);
    const pointer = joinPointer("", key, i);
    if (item) return [{ item, pointer }];
    const message = `an object is expected, not ${describeValue(entry)}`;
    reportAt(context, "GV1013", pointer, message);
    return [];
  });
}
