/** `gavotte migrate`: applies what the database's schema lacks. */
import { grantTo, migrate } from "../../sdk/postgres/index.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { createLogger } from "../logger.ts";
import { openStack } from "../stack.ts";

/**
 * Prints the names of what was applied; with `grant` that role has what the engine needs after it.
 * Safe to run from several machines at once.
 */
export async function migrateCommand(
  context: Context,
  { grant }: { grant?: string },
): Promise<number> {
  const config = await context.config();
  const stack = await openStack(context, { config, logger: createLogger(config, "error") });
  try {
    const applied = await migrate(stack.db);
    applied.forEach((name) => context.output.line(name));
    if (applied.length === 0) {
      context.output.note("the schema is up to date");
    }
    if (grant !== undefined) {
      await grantTo(stack.db, grant);
      context.output.note(`${grant} has the rights that the engine needs`);
    }
    context.output.document({ applied, ...(grant === undefined ? {} : { granted: grant }) });
    return EXIT.done;
  } finally {
    await stack.stop();
  }
}
