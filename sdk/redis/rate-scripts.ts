/**
 * Typed calls of `take_slot`: the starts of everything that names one rate limit key.
 *
 * The key's text alone says what is limited together, across nodes, workflows and partitions of one
 * namespace; each start keeps the distance that its own limit asks for. Reservations live in Redis
 * only: when it is lost, limits begin anew.
 */
import { createHash } from "node:crypto";
import type { IrRateLimit } from "../../compiler/ir.ts";
import { globalKeys } from "../keys.ts";
import type { ScriptRunner } from "./script-runner.ts";

/** The Redis key of a limit: by its evaluated key text, or by `owner` if that is empty. */
export function rateKey(namespace: string, key: string, owner: string): string {
  const what = key === "" ? `owner\0${owner}` : `key\0${key}`;
  return globalKeys.rate(createHash("sha256").update(`${namespace}\0${what}`).digest("hex"));
}

/** What limits of many starts may be early by: timers and event loops are no finer. */
const FINEST_US = 10_000;
/** Of the starts in a limit's time, which part may be early. */
const EARLY_PART = 50;

export interface Distance {
  intervalUs: number;
  /** By how much one may begin too early: 0 unless hundreds may begin in a second. */
  slackUs: number;
}

/**
 * How far starts are apart. Where they may be early, the interval is longer, so that no window of the
 * limit's time has more than the limit: those that it begins with may be early, all others are apart.
 */
export function distanceOf({ limit, per_ms }: Numbers): Distance {
  const perUs = per_ms * 1000;
  const early = Math.min(Math.floor(FINEST_US / (perUs / limit)), Math.floor(limit / EARLY_PART));
  const intervalUs = Math.ceil(perUs / (limit - early));
  return { intervalUs, slackUs: early * intervalUs };
}

/** Reserves the next start; ms until then, 0: now. */
export async function takeSlot(
  scripts: ScriptRunner,
  key: string,
  limit: Numbers,
): Promise<number> {
  const { intervalUs, slackUs } = distanceOf(limit);
  return ask(scripts, key, [intervalUs, 0, 0, 0, slackUs]);
}

/**
 * For one whose reserved start is now: 0, it has begun. Less: the one before it began late, and it may
 * ask again in so many ms, at most `holdMs`. More: ms until another start, since its key is cooling
 * down or too much of it is late.
 */
export async function beginSlot(
  scripts: ScriptRunner,
  key: string,
  limit: Numbers,
  holdMs: number,
): Promise<number> {
  const { intervalUs, slackUs } = distanceOf(limit);
  return ask(scripts, key, [intervalUs, 0, 1, Math.max(0, Math.floor(holdMs)), slackUs]);
}

/** Nothing of the key begins within `ms`, reserved or not; ms until the next free start. */
export async function coolDown(scripts: ScriptRunner, key: string, ms: number): Promise<number> {
  return ask(scripts, key, [0, Math.max(1, Math.ceil(ms)), 0, 0, 0]);
}

type Numbers = Pick<IrRateLimit, "limit" | "per_ms">;

async function ask(scripts: ScriptRunner, key: string, args: number[]): Promise<number> {
  const keys = [key, globalKeys.rateCool(key), globalKeys.rateBegun(key)];
  return (await scripts.callAnywhere("takeSlot", keys, args)) as number;
}
