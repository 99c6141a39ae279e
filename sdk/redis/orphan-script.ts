/** Typed call of scripts/remove_orphan.lua. */
import type { Seen } from "./run-scripts.ts";
import type { ScriptRunner } from "./script-runner.ts";
import { keysOf, type Command } from "./write-anyway.ts";

/** What a look was at: read before it, so that nothing that happens during the look goes unnoticed. */
export interface Looked {
  /** The run that it would belong to, as `seenOf`. */
  run: Seen;
  key: string;
  /** Redis' name of the key's type. */
  type: string;
}

/**
 * Carries out commands that remove, if run and key are as they were before the look. False: they are
 * not, and nothing was done.
 */
export async function removeOrphan(
  scripts: ScriptRunner,
  { run, key, type }: Looked,
  commands: readonly Command[],
): Promise<boolean> {
  const k = scripts.keys;
  const more = new Set(commands.flatMap(keysOf));
  const texts = commands.flatMap((command) => [command.length, ...command]);
  const keys = [k.meta, k.run(run.runId), key, ...more];
  const args = [run.status, run.epoch, type, ...texts];
  return (await scripts.transition("removeOrphan", keys, args)) === 1;
}
