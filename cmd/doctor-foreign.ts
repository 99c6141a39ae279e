/** `gavotte doctor`: what it says where something else stands in place of a key that it reads. */
import { isForeign } from "../sdk/internal.ts";

/** An error's message; of Redis' about a key of another type also which, and what to do. */
export function causeOf(error: unknown): string {
  const { command } = error as { command?: { args?: readonly unknown[] } };
  const key = command?.args?.[0];
  if (isForeign(error) && typeof key === "string") {
    return foreignText(key);
  }
  return error instanceof Error ? error.message : String(error);
}

/** Of a key in which nothing is the engine's. */
export function foreignText(key: string): string {
  return (
    `${key}: something stands there that the engine has not written (another program's, or a copy ` +
    "by hand); look at what it is, and remove it"
  );
}
