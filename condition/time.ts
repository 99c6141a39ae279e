/**
 * Moments and durations, where the library's are inexact, read other texts than CEL's, or are missing.
 *
 *   timestamp(s)            takes RFC 3339 only, and days that there are
 *   t - t, t ± d, d ± d     in whole nanoseconds, within the years 1 to 9999
 *   d + t                   as t + d
 *   t.getHours(zone) …      also of fixed offsets (`+02:00`), and whatever the zone of the process is
 *   string(t), string(d), timestamp(t), duration(d)
 *
 * A moment is a Date, so it has milliseconds; a duration has nanoseconds.
 */
import { EvaluationError } from "@marcbachmann/cel-js";
import type { Environment } from "@marcbachmann/cel-js";
import { Duration } from "@marcbachmann/cel-js/evaluator";
import { REPLACED_METHODS } from "./errors.ts";
import { LruCache } from "./lru.ts";

const NANOS = 1_000_000_000n;
const NANOS_PER_MS = 1_000_000n;
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z. */
const FIRST_MS = -62_135_596_800_000;
const LAST_MS = 253_402_300_799_999;
/** About 10,000 years, as protobuf bounds a duration. */
const DURATION_SECONDS_MAX = 315_576_000_000n;
const ZONES_KEPT_MAX = 50;

const TIMESTAMP =
  /^(\d{4})-(0[1-9]|1[0-2])-(\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** Whether a text is a moment as RFC 3339 writes it, of a day that its month has. */
export function isTimestampText(text: string): boolean {
  const match = TIMESTAMP.exec(text);
  return match !== null && isDay(match) && !Number.isNaN(Date.parse(text));
}

/** Whether the day that a text begins with (`2026-02-30…`) is one that its month has. */
export function beginsWithDay(text: string): boolean {
  const match = /^(\d{4})-(\d\d)-(\d\d)/.exec(text);
  return match !== null && isDay(match);
}

function isDay([, year, month, day]: readonly (string | undefined)[]): boolean {
  // Of years below 100 Date.UTC makes others.
  const last = new Date(Date.UTC(2000 + (Number(year) % 400), Number(month), 0)).getUTCDate();
  return Number(day) >= 1 && Number(day) <= last;
}

/** Throws what `timestamp()` throws for a text that is no moment. */
export function assertTimestamp(value: unknown): void {
  if (typeof value !== "string" || isTimestampText(value)) return;
  const message = "timestamp() needs a text as RFC 3339 has it, such as 2026-01-31T08:00:00Z";
  throw new EvaluationError({ code: "invalid_timestamp", message });
}

/** `left + right` or `left - right`; undefined if these are no moments and durations. */
export function shifted(op: "+" | "-", left: unknown, right: unknown): unknown {
  if (left instanceof Date) {
    if (right instanceof Duration) {
      const by = nanosOf(right);
      return moment(nanosOf(left) + (op === "+" ? by : -by));
    }
    const isDifference = op === "-" && right instanceof Date;
    return isDifference ? duration(nanosOf(left) - nanosOf(right)) : undefined;
  }
  if (!(left instanceof Duration)) return undefined;
  if (right instanceof Duration) {
    const by = nanosOf(right);
    return duration(nanosOf(left) + (op === "+" ? by : -by));
  }
  const isSum = op === "+" && right instanceof Date;
  return isSum ? moment(nanosOf(left) + nanosOf(right)) : undefined;
}

function nanosOf(value: Date | Duration): bigint {
  return value instanceof Date
    ? BigInt(value.getTime()) * NANOS_PER_MS
    : value.seconds * NANOS + BigInt(value.nanos);
}

function duration(nanos: bigint): Duration {
  const seconds = nanos / NANOS;
  if (seconds > DURATION_SECONDS_MAX || seconds < -DURATION_SECONDS_MAX) throw outOfRange();
  return new Duration(seconds, Number(nanos % NANOS));
}

/** The millisecond that holds a nanosecond. */
function moment(nanos: bigint): Date {
  const rest = nanos % NANOS_PER_MS;
  const ms = Number((nanos - rest) / NANOS_PER_MS) - (rest < 0n ? 1 : 0);
  if (ms < FIRST_MS || ms > LAST_MS) throw outOfRange();
  return new Date(ms);
}

function outOfRange(): EvaluationError {
  return new EvaluationError({ code: "time_out_of_range", message: "out of range" });
}

/** Register what the library has not, and its parts of a moment under the names of ours. */
export function registerTimes(env: Environment): void {
  const [T, D] = ["google.protobuf.Timestamp", "google.protobuf.Duration"];
  const sync = { async: false };
  env.registerFunction(`string(${T}): string`, (at: Date) => momentText(at), sync);
  env.registerFunction(`string(${D}): string`, (of: Duration) => durationText(of), sync);
  env.registerFunction(`timestamp(${T}): ${T}`, (at: Date) => at, sync);
  env.registerFunction(`duration(${D}): ${D}`, (of: Duration) => of, sync);
  for (const [name, part] of PARTS) {
    const ours = REPLACED_METHODS.get(name);
    const inZone = (at: Date, zone: string): bigint => BigInt(part(localTime(at, zone)));
    env.registerFunction(`${T}.${ours}(): int`, (at: Date) => BigInt(part(at)), sync);
    env.registerFunction(`${T}.${ours}(string): int`, inZone, sync);
  }
  for (const name of ["getHours", "getMinutes", "getSeconds", "getMilliseconds"] as const) {
    const ours = REPLACED_METHODS.get(name);
    env.registerFunction(`${D}.${ours}(): int`, (of: Duration) => of[name](), sync);
  }
}

/** Parts of a moment, read as of UTC. */
const PARTS: readonly [name: string, part: (at: Date) => number][] = [
  ["getDate", (at) => at.getUTCDate()],
  ["getDayOfMonth", (at) => at.getUTCDate() - 1],
  ["getDayOfWeek", (at) => at.getUTCDay()],
  ["getDayOfYear", dayOfYear],
  ["getFullYear", (at) => at.getUTCFullYear()],
  ["getHours", (at) => at.getUTCHours()],
  ["getMilliseconds", (at) => at.getUTCMilliseconds()],
  ["getMinutes", (at) => at.getUTCMinutes()],
  ["getMonth", (at) => at.getUTCMonth()],
  ["getSeconds", (at) => at.getUTCSeconds()],
];

const DAY_MS = 86_400_000;

function dayOfYear(at: Date): number {
  const first = new Date(at);
  first.setUTCMonth(0, 1);
  return Math.round((at.getTime() - first.getTime()) / DAY_MS);
}

const zones = new LruCache<string, Intl.DateTimeFormat>(ZONES_KEPT_MAX);

/** The moment whose parts of UTC are those that clocks of a zone show at `at`. */
function localTime(at: Date, zone: string): Date {
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset !== null) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return new Date(at.getTime() + (offset[1] === "-" ? -minutes : minutes) * 60_000);
  }
  const parts = Object.fromEntries(
    zoneOf(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const of = (name: string): number => parts[name] ?? 0;
  const local = new Date(at);
  local.setUTCFullYear(of("year"), of("month") - 1, of("day"));
  local.setUTCHours(of("hour"), of("minute"), of("second"));
  return local;
}

function zoneOf(zone: string): Intl.DateTimeFormat {
  try {
    return zones.getOrMake(zone, () => {
      const parts = { year: "numeric", month: "numeric", day: "numeric" } as const;
      const clock = { hour: "numeric", minute: "numeric", second: "numeric" } as const;
      const form = { calendar: "gregory", hourCycle: "h23", timeZone: zone } as const;
      return new Intl.DateTimeFormat("en-US", { ...parts, ...clock, ...form });
    });
  } catch {
    throw new EvaluationError({ code: "unknown_zone", message: "no time zone of this name" });
  }
}

function momentText(at: Date): string {
  return at.toISOString().replace(/\.?0*Z$/, "Z");
}

function durationText(of: Duration): string {
  const nanos = nanosOf(of);
  const size = nanos < 0n ? -nanos : nanos;
  const fraction = (size % NANOS).toString().padStart(9, "0").replace(/0+$/, "");
  return `${nanos < 0n ? "-" : ""}${size / NANOS}${fraction && `.${fraction}`}s`;
}
