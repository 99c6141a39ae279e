/** Plain commands that a full server must not refuse: begun runs need them (docs/backpressure.md). */
import type { Redis } from "ioredis";
import { globalKeys } from "../keys.ts";
import { packBatch } from "./pack-batch.ts";
import { callAnywhere } from "./script-runner.ts";

/** Texts: a command's name and its arguments. */
export type Command = readonly (string | number)[];

/** What a field of a hash must hold ("": nothing), or nothing is written. */
export interface Guard {
  key: string;
  field: string;
  value: string;
}

/** Texts in one argument of the script, or one command. */
const TEXTS_MAX = 4000;

/**
 * Carries the commands out in one step, all of one partition or of one key; their replies. That a
 * consumer group is there already is no error.
 */
export async function writeAnyway(redis: Redis, commands: readonly Command[]): Promise<unknown[]> {
  return commands.length === 0 ? [] : ((await send(redis, commands, null)) as unknown[]);
}

/** The same while the guard holds; false: it does not, and nothing is done. */
export async function writeGuarded(
  redis: Redis,
  commands: readonly Command[],
  guard: Guard,
): Promise<boolean> {
  return commands.length === 0 || (await send(redis, commands, guard)) !== GUARDED;
}

const GUARDED = -1;

async function send(
  redis: Redis,
  commands: readonly Command[],
  guard: Guard | null,
): Promise<unknown> {
  const args: (Buffer | string)[] = [guard === null ? "" : packBatch([guard.field, guard.value])];
  let texts: (string | number)[] = [];
  for (const command of commands) {
    if (texts.length > 0 && texts.length + command.length > TEXTS_MAX) {
      args.push(packBatch(texts));
      texts = [];
    }
    texts.push(command.length, ...command);
  }
  args.push(packBatch(texts));
  const keys = [...(guard === null ? [] : [guard.key]), ...commands.flatMap(keysOf)];
  return callAnywhere(redis, "writeAnyway", [...new Set(keys)], args);
}

/** Commands whose arguments are all keys. */
const ALL_KEYS: ReadonlySet<string> = new Set(["DEL", "UNLINK", "RENAME"]);

/** The keys that a command names. */
export function keysOf([name, ...args]: Command): string[] {
  const some = ALL_KEYS.has(String(name)) ? args : args.slice(name === "XGROUP" ? 1 : 0);
  return (some === args ? args : some.slice(0, 1)).map(String);
}

/** Makes the streams and groups that are missing, of one partition or one stream. */
export async function createGroups(
  redis: Redis,
  streams: readonly string[],
  group: string,
): Promise<void> {
  const create = (stream: string): Command => ["XGROUP", "CREATE", stream, group, "0", "MKSTREAM"];
  await writeAnyway(redis, streams.map(create));
}

/** Puts a workflow where workers look for it first, for runs that have begun. */
export async function publishIr(
  redis: Redis,
  { hash, text }: { hash: string; text: string },
  nowMs: number,
): Promise<void> {
  await writeAnyway(redis, [["SET", globalKeys.ir(hash), text]]);
  await writeAnyway(redis, [["ZADD", globalKeys.irUse, nowMs, hash]]);
}

/** Redis' answer to a write that it has no memory for. */
export function isFull(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("OOM");
}
