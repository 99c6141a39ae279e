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

/** Reserves the next start; ms until then, 0: now. */
export async function takeSlot(
  scripts: ScriptRunner,
  key: string,
  { limit, per_ms }: Pick<IrRateLimit, "limit" | "per_ms">,
): Promise<number> {
  const intervalUs = Math.ceil((per_ms * 1000) / limit);
  return (await scripts.callAnywhere("takeSlot", keysOf(key), [intervalUs, 0, 0])) as number;
}

/** For one whose reserved start is now: 0, or ms until another one, if its key is cooling down. */
export async function keepSlot(
  scripts: ScriptRunner,
  key: string,
  { limit, per_ms }: Pick<IrRateLimit, "limit" | "per_ms">,
): Promise<number> {
  const intervalUs = Math.ceil((per_ms * 1000) / limit);
  return (await scripts.callAnywhere("takeSlot", keysOf(key), [intervalUs, 0, 1])) as number;
}

/** Nothing of the key begins within `ms`, reserved or not; ms until the next free start. */
export async function coolDown(scripts: ScriptRunner, key: string, ms: number): Promise<number> {
  return (await scripts.callAnywhere("takeSlot", keysOf(key), [
    0,
    Math.max(1, Math.ceil(ms)),
    0,
  ])) as number;
}

function keysOf(key: string): string[] {
  return [key, globalKeys.rateCool(key)];
}
