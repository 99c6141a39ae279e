/** `gavotte why RUN [NODE]`: what a run waits for, one line per token that stands still. */
import type { Ir } from "../../compiler/index.ts";
import type { Client } from "../../sdk/client.ts";
import { GavotteError, globalKeys, scopeJoin } from "../../sdk/internal.ts";
import type { Explanation, Reason } from "../../supervisor/index.ts";
import type { Config } from "../config.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { whenCertified } from "../own-stack.ts";
import type { Stack } from "../stack.ts";
import { withClient } from "../with-client.ts";

/** 0: answered, also when nothing stands still. */
export async function whyCommand(context: Context, runId: string, node?: string): Promise<number> {
  const config = await context.config();
  const answer = async (client: Client, stack: Stack): Promise<number> => {
    await whenCertified(stack, client, runId, config.values.submit_timeout_ms);
    const explanation = await explain(config, client, runId, node);
    whyLines(explanation, node).forEach((line) => context.output.line(line));
    const { status, reasons, more } = explanation;
    context.output.document({ run_id: runId, status, why: reasons.map(reasonDocument), more });
    return EXIT.done;
  };
  return withClient(context, answer, { withoutSchema: true });
}

/** What people read. */
export function whyLines({ reasons, more }: Explanation, node?: string): string[] {
  const rest = node === undefined ? "more tokens: name a node" : `more tokens at ${node}`;
  const nothing = node === undefined ? "the run: it is on its way" : `no token stands at ${node}`;
  const lines = reasons.map(reasonText);
  return [
    ...(lines.length === 0 ? [nothing] : lines),
    ...(more === 0 ? [] : [`… and ${more} ${rest}`]),
  ];
}

/** Throws GV_RUN_NOT_FOUND. */
export async function explain(
  { values: { lease_ms: leaseMs } }: Config,
  client: Client,
  runId: string,
  node?: string,
): Promise<Explanation> {
  const { whyRun } = await import("../../supervisor/index.ts");
  const explanation = await whyRun({
    ...{ redis: client.redis, db: client.db, runId },
    deployment: await client.deployment(),
    irOf: (hash) => irOf(client, hash),
    ...{ node, leaseMs },
  });
  if (explanation === null) {
    throw new GavotteError("GV_RUN_NOT_FOUND", `there is no run ${runId}`);
  }
  return explanation;
}

/** From Postgres, or, while that is away, as the workers have it. */
async function irOf(client: Client, hash: string): Promise<Ir | null> {
  try {
    return await client.irOf(hash);
  } catch {
    const text = await client.redis.get(globalKeys.ir(hash));
    return text === null ? null : (JSON.parse(text) as Ir);
  }
}

/** "pay 7:2: next attempt: 2026-01-31T08:00:00.000Z" */
export function reasonText({ node, scope = "", home = "", text }: Reason): string {
  const place = [node, scopeJoin(home, scope)].filter((part) => part !== undefined && part !== "");
  return place.length === 0 ? text : `${place.join(" ")}: ${text}`;
}

/** A reason as programs get it. */
export function reasonDocument(reason: Reason): { [name: string]: unknown } {
  const { kind, node, scope, home, text, ...more } = reason;
  const facts = Object.entries(more).filter(([name]) => name !== "token");
  const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
  return {
    ...{ kind, node: node ?? null, scope: scopeJoin(home ?? "", scope ?? ""), text },
    ...Object.fromEntries(facts.map(([name, value]) => [snake(name), value])),
  };
}
