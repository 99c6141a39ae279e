/** The process's log: JSON lines on stderr, written at once, so that none is lost at the end. */
import { hostname } from "node:os";
import { pino, type Logger } from "pino";
import type { Config } from "./config.ts";

/**
 * A logger at the configured level, or at `quiet` where nobody asked for a level: what a command
 * that answers and ends has to say is its answer, and "gavotte doctor" tells what stands still.
 */
export function createLogger(config: Config, quiet?: "warn" | "error"): Logger {
  const asked = config.origins.log_level !== "default";
  const level = quiet === undefined || asked ? config.values.log_level : quiet;
  return pino(
    { level, base: { pid: process.pid, host: hostname() } },
    pino.destination({ dest: 2, sync: true }),
  );
}
