/** `gavotte why RUN [NODE]`: what a run waits for, one line per token that stands still. */
import type { Ir } from "../../compiler/index.ts";
import type { Client } from "../../sdk/client.ts";
import { GavotteError, globalKeys, scopeJoin } from "../../sdk/internal.ts";
import type { Explanation, Reason } from "../../supervisor/index.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { withClient } from "../with-client.ts";

/** 0: answered, also when nothing stands still. */
export async function whyCommand(context: Context, runId: string, node?: string): Promise<number> {
  const { lease_ms: leaseMs } = (await context.config()).values;
  const answer = async (client: Client): Promise<number> => {
    const { status, reasons } = await explain(client, runId, leaseMs);
    const own = reasons.filter((reason) => isAbout(reason, node));
    own.forEach((reason) => context.output.line(reasonText(reason)));
    if (own.length === 0) {
      const what = node === undefined ? "the run" : `no token of ${node}`;
      const text = node === undefined ? "it is on its way" : "stands still here";
      context.output.line(`${what}: ${text}`);
    }
    context.output.document({ run_id: runId, status, why: own.map(reasonDocument) });
    return EXIT.done;
  };
  return withClient(context, answer, { withoutSchema: true });
}

/** Throws GV_RUN_NOT_FOUND. */
export async function explain(
  client: Client,
  runId: string,
  leaseMs?: number,
): Promise<Explanation> {
  const { whyRun } = await import("../../supervisor/index.ts");
  const explanation = await whyRun({
    ...{ redis: client.redis, db: client.db, runId },
    deployment: await client.deployment(),
    irOf: (hash) => irOf(client, hash),
    ...(leaseMs === undefined ? {} : { leaseMs }),
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

/** Of the node, of something in it, or of the run as a whole. */
function isAbout({ node: about }: Reason, node: string | undefined): boolean {
  return node === undefined || about === undefined || about === node;
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
