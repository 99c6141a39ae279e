/** A client for the length of one command, on the configured services or the embedded stack. */
import type { Client } from "../sdk/client.ts";
import { assertSchema } from "../sdk/postgres/index.ts";
import type { Context } from "./context.ts";
import { createLogger } from "./logger.ts";
import { supervisorOf } from "./roles.ts";
import { openStack, type Stack } from "./stack.ts";

export interface ClientUse {
  /**
   * Whether a supervisor is needed. Where this process turns out to own the embedded stack, it
   * runs one meanwhile; elsewhere there is one, or an error that says so.
   */
  writes: boolean;
}

/** Runs `work` with a client; everything is closed after it. */
export async function withClient(
  context: Context,
  use: ClientUse,
  work: (client: Client, stack: Stack) => Promise<number>,
): Promise<number> {
  const config = await context.config();
  const logger = createLogger(config, "warn");
  const stack = await openStack(context, {
    config,
    logger,
    mustExist: true,
    ...(use.writes
      ? { roles: async (opened) => [await supervisorOf({ config, logger, stack: opened })] }
      : {}),
  });
  try {
    await assertSchema(stack.db);
    return await work(await stack.client(), stack);
  } finally {
    await stack.stop();
  }
}
