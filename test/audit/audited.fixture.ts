/** An engine under audit, for the tests beside this file: runs that stand still, drift, repair. */
import { expect } from "vitest";
import { createClient, type Client } from "../../sdk/client.ts";
import { globalKeys, ScriptRunner, type Drift } from "../../sdk/internal.ts";
import {
  auditContext,
  auditPartition,
  findDrifts,
  repairDrifts,
  type AuditContext,
} from "../../supervisor/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

/** A node that calls `step`, which answers while the gate is open. */
export const fn = (id: string, name = "step", more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: name } },
  ...more,
});

export const wait = (id: string, more: object = {}): object => ({
  ...{ id, type: "wait", config: { signal: "go" } },
  ...more,
});

/** A workflow of these nodes, one after the other. */
export const line = (name: string, nodes: readonly object[]): object => ({
  name,
  nodes,
  edges: nodes.slice(1).map((node, i) => ({
    from: (nodes[i] as { id: string }).id,
    to: (node as { id: string }).id,
  })),
});

/** Stands still at `w`. */
export const waits = line("waits", [fn("a"), wait("w", { timeout_ms: 3_600_000 }), fn("b")]);

/** An engine with one worker; and what is asked of its runs. */
export class Audited {
  readonly engine: Engine;
  readonly client: Client;
  readonly audit: AuditContext;
  readonly scripts: ScriptRunner;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => undefined;

  private constructor(engine: Engine, client: Client, deployment: string) {
    this.engine = engine;
    this.client = client;
    this.audit = auditContext({ redis: engine.redis, db: engine.db });
    this.scripts = new ScriptRunner({ redis: engine.redis, deployment, partition: 0 });
  }

  static async start(): Promise<Audited> {
    const engine = await startEngine();
    const client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
    const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) as string;
    const audited = new Audited(engine, client, deployment);
    const registry = new FunctionRegistry();
    registry.register("step", async ({ node }) => {
      await audited.#gate;
      return { at: node };
    });
    registry.register("large", () => Promise.resolve("x".repeat(20_000)));
    registry.register("fails", () => Promise.reject(new Error("no")));
    await engine.worker({ registry, leaseMs: 60_000 });
    return audited;
  }

  /** What calls `step` from now on waits until the gate is opened. */
  shut(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open();
    this.#gate = Promise.resolve();
  }

  /** A run that stands still with `node` in `status`. */
  async standing(workflow: object, node: string, status: string): Promise<string> {
    const id = await this.client.submit({ workflow: workflow as never, input: {} });
    await waitFor(async () => (await this.client.status(id)).nodes[node]?.status === status, {
      describe: `${node} is not ${status}`,
    });
    return id;
  }

  async kindsOf(runId: string): Promise<string[]> {
    return kinds(await findDrifts(this.audit, 0, runId));
  }

  /** The damage is seen as these kinds, repaired, and seen no more. */
  async seenAndRepaired(runId: string, expected: readonly string[]): Promise<Drift[]> {
    const drifts = await findDrifts(this.audit, 0, runId);
    expect(kinds(drifts)).toEqual([...expected].sort());
    for (const drift of drifts) {
      expect(drift.is).not.toBe("");
      expect(drift.expected).not.toBe("");
    }
    const report = await repairDrifts(this.audit, this.scripts, drifts);
    expect(report.failed).toEqual([]);
    expect(await this.kindsOf(runId)).toEqual([]);
    return drifts;
  }

  /** What the audit of the whole partition finds. */
  async drifts(): Promise<Drift[]> {
    return (await auditPartition(this.audit, 0)).drifts;
  }

  /** Goes on with what is executed by a function that nobody has registered so far, to its end. */
  async endedWith(runId: string, name: string): ReturnType<Engine["ended"]> {
    const registry = new FunctionRegistry();
    registry.register(name, () => Promise.resolve(1));
    const worker = await this.engine.worker({ registry, id: name });
    const row = await this.engine.ended(runId);
    await worker.stop(1000);
    return row;
  }

  async stop(): Promise<void> {
    this.open();
    await this.client.close();
    await this.engine.stop();
  }
}

/** Kinds of drifts, each once, in the order of their names. */
function kinds(drifts: readonly Drift[]): string[] {
  return [...new Set(drifts.map(({ kind }) => kind))].sort();
}
