/** An engine whose runs stand still at will, and what `gavotte why` says of them. */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Json } from "../../compiler/index.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import { partitionKeys } from "../../sdk/internal.ts";
import { whyRun, type Explanation, type Reason, type WhyTarget } from "../../supervisor/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

export const keys = partitionKeys(0);

export const node = (id: string, type: string, config: object = {}, more: object = {}): object => ({
  ...{ id, type, config },
  ...more,
});

/** Calls `step`, which answers while the gate is open; or `at_once`, or `fails`. */
export const fn = (id: string, name = "step", more: object = {}): object =>
  node(id, "function", { function_name: name }, more);

export const flow = (nodes: object[], edges: [string, string][] = []): object => ({
  name: "why",
  nodes,
  edges: edges.map(([from, to]) => ({ from, to })),
});

type More = Partial<Pick<WhyTarget, "leaseMs" | "db" | "node" | "redis" | "backlogBytesMax">>;

/** One engine with a worker, and a gate that `step` waits for. */
export class WhyScene {
  readonly engine: Engine;
  readonly client: Client;
  /** Every kind of reason that was seen. */
  readonly told = new Set<string>();
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => undefined;

  private constructor(engine: Engine, client: Client) {
    this.engine = engine;
    this.client = client;
  }

  static async start(): Promise<WhyScene> {
    const engine = await startEngine({ tenantRunsMax: 1 });
    const client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
    const scene = new WhyScene(engine, client);
    const registry = new FunctionRegistry();
    registry.register("step", () => scene.gate);
    registry.register("at_once", () => Promise.resolve(1));
    registry.register("fails", () => Promise.reject(new Error("no")));
    await engine.worker({ registry });
    return scene;
  }

  async stop(): Promise<void> {
    this.open();
    await this.client.close();
    await this.engine.stop();
  }

  get gate(): Promise<void> {
    return this.#gate;
  }

  /** Lets every `step` answer that waits. */
  open(): void {
    this.#open();
  }

  /** From now on a `step` waits. */
  shut(): void {
    this.open();
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  submit(document: object, input: Json = {}): Promise<string> {
    return this.client.submit({ workflow: document as never, input });
  }

  async explained(runId: string, more: More = {}): Promise<Explanation | null> {
    const deployment = await this.client.deployment();
    const irOf = (hash: string) => this.client.irOf(hash).catch(() => null);
    const { redis, db } = this.engine;
    return whyRun({ redis, db, runId, deployment, irOf, ...more });
  }

  async ask(runId: string, more: More = {}): Promise<Reason[]> {
    return (await this.explained(runId, more))?.reasons ?? [];
  }

  /** The run's reason of this kind, as soon as it has one. */
  async reasonOf<K extends Reason["kind"]>(
    runId: string,
    kind: K,
    more: More = {},
  ): Promise<Reason & { kind: K }> {
    const found = await waitFor(
      async () => (await this.ask(runId, more)).find((reason) => reason.kind === kind),
      { describe: `no reason ${kind}` },
    );
    this.told.add(kind);
    expect(found.text).not.toBe("");
    return found as Reason & { kind: K };
  }

  /** That each reason in this section of docs/why.md was seen, and none that the page does not have. */
  expectToldAll(section: string): void {
    const page = readFileSync(new URL("../../docs/why.md", import.meta.url), "utf8");
    const own = page.split(/^## /m).find((text) => text.startsWith(`${section}\n`)) ?? "";
    expect(rowsOf(own).length).toBeGreaterThan(0);
    expect(rowsOf(own).filter((kind) => !this.told.has(kind))).toEqual([]);
    expect([...this.told].filter((kind) => !rowsOf(page).includes(kind))).toEqual([]);
  }
}

/** The kinds that the tables of a text explain. */
function rowsOf(text: string): string[] {
  return [...text.matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1] as string);
}
