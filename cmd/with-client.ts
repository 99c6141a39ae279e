/**
 * A client for the length of one command, on the configured services or the embedded stack.
 *
 * An interrupt ends the command whatever it waits for: what it has asked for is idempotent or one
 * script, so nothing is left half done, and what is still under way fails when all is closed.
 */
import { GavotteError } from "../sdk/errors.ts";
import type { Client } from "../sdk/client.ts";
import { assertSchema } from "../sdk/postgres/index.ts";
import type { Context } from "./context.ts";
import { createLogger } from "./logger.ts";
import { causeOf, openStack, type Stack } from "./stack.ts";

/** ioredis' word for a command that its connection's commandTimeout has ended. */
const TIMED_OUT = "Command timed out";

/** Runs `work` with a client; everything is closed after it. `withoutSchema`: also without Postgres. */
export async function withClient(
  context: Context,
  work: (client: Client, stack: Stack) => Promise<number>,
  options: { withoutSchema?: boolean } = {},
): Promise<number> {
  const config = await context.config();
  const logger = createLogger(config, "error");
  const stack = await openStack(context, { config, logger, mustExist: true });
  const all = async (): Promise<number> => {
    await (options.withoutSchema === true ? undefined : assertSchema(stack.db));
    return work(await stack.client(), stack);
  };
  try {
    return await Promise.race([all(), interrupted(stack.signal)]);
  } catch (error) {
    const isLate = error instanceof Error && error.message === TIMED_OUT;
    throw await causeOf(stack, isLate ? late(config.values.submit_timeout_ms, error) : error);
  } finally {
    await stack.stop();
  }
}

function interrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) {
      end();
    } else {
      signal.addEventListener("abort", end, { once: true });
    }
  });
}

function late(ms: number, cause: Error): GavotteError {
  const message =
    `Redis has not answered within ${ms} ms, so whether it has done what was asked is not known; ` +
    "see that it runs, and try again";
  return new GavotteError("GV_REDIS_UNAVAILABLE", message, { cause });
}
