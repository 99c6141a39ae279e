/** What every command is given. The configuration is read when a command asks for it. */
import type { Config } from "./config.ts";
import type { Output } from "./output.ts";

export interface Context {
  output: Output;
  cwd: string;
  /** Aborted at the first interrupt, with Interrupted as its reason. */
  signal: AbortSignal;
  /** Configuration in force; flags of the command are part of it. Throws GV_BAD_CONFIG. */
  config(): Promise<Config>;
  /** All of standard input. */
  readStdin(): Promise<Uint8Array>;
}
