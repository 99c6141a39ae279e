/** A client for the length of one command, on the configured services or the embedded stack. */
import type { Client } from "../sdk/client.ts";
import { assertSchema } from "../sdk/postgres/index.ts";
import type { Context } from "./context.ts";
import { createLogger } from "./logger.ts";
import { causeOf, openStack, type Stack } from "./stack.ts";

/** Runs `work` with a client; everything is closed after it. `withoutSchema`: also without Postgres. */
export async function withClient(
  context: Context,
  work: (client: Client, stack: Stack) => Promise<number>,
  options: { withoutSchema?: boolean } = {},
): Promise<number> {
  const config = await context.config();
  const logger = createLogger(config, "error");
  const stack = await openStack(context, { config, logger, mustExist: true });
  try {
    await (options.withoutSchema === true ? undefined : assertSchema(stack.db));
    return await work(await stack.client(), stack);
  } catch (error) {
    throw await causeOf(stack, error);
  } finally {
    await stack.stop();
  }
}
