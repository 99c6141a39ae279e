/**
 * The world outside of the runs: sends the signals that they wait for, decides what people are asked,
 * redrives what has failed. Again and again under the same names, as careful people do: what they
 * say is Redis' alone until the archive has it.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Json } from "../../compiler/index.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import { REDRIVEN, SCENARIOS } from "./scenarios.ts";
import type { ChaosStack } from "./stack.ts";

const WAITING = {
  name: "chaos_waiting",
  text: `SELECT id, workflow FROM runs
    WHERE workflow = ANY($1::text[]) AND status = 'RUNNING' ORDER BY id LIMIT 200`,
};
const FAILED = {
  name: "chaos_failed",
  text: `SELECT id, workflow FROM runs
    WHERE workflow = ANY($1::text[]) AND status = 'FAILED' ORDER BY id LIMIT 50`,
};
const ROUND_MS = 300;
const APPROVALS_MAX = 200;

const SIGNALS = new Map<string, string>(
  SCENARIOS.flatMap(({ document, signal }) =>
    signal === undefined ? [] : [[document.metadata.name, signal] as const],
  ),
);
const INPUTS = new Map<string, { [node: string]: Json }>(
  SCENARIOS.flatMap(({ document, redriveInputs }) =>
    redriveInputs === undefined ? [] : [[document.metadata.name, redriveInputs] as const],
  ),
);

export class Outsiders {
  /** What they have done with success. */
  readonly done = { signals: 0, decisions: 0, redrives: 0 };
  readonly #stack: ChaosStack;
  readonly #client: Client;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  private constructor(stack: ChaosStack, client: Client) {
    this.#stack = stack;
    this.#client = client;
  }

  static async start(stack: ChaosStack): Promise<Outsiders> {
    const client = await createClient({ redisUrl: stack.box.url, database: stack.db });
    const outsiders = new Outsiders(stack, client);
    outsiders.#running = Promise.all([
      outsiders.#again(() => outsiders.#signal()),
      outsiders.#again(() => outsiders.#decide()),
      outsiders.#again(() => outsiders.#redrive()),
    ]);
    return outsiders;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#client.close();
    await this.#running;
  }

  /** What cannot be done now, or was done before, is no matter: the next round tries again. */
  async #again(round: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await round().catch(() => undefined);
      await pause(ROUND_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #signal(): Promise<void> {
    type Row = { id: string; workflow: string };
    const rows = await this.#stack.db.query<Row>(WAITING, [[...SIGNALS.keys()]]);
    await Promise.allSettled(
      rows.map(async ({ id, workflow }) => {
        const name = SIGNALS.get(workflow) as string;
        await this.#client.signal(id, name, { word: name }, { id: `${id}-${name}` });
        this.done.signals++;
      }),
    );
  }

  /** Two people agree to everything. */
  async #decide(): Promise<void> {
    const open = await this.#client.approvals({ state: "open", limit: APPROVALS_MAX });
    const actors = ["ann", "bob"];
    await Promise.allSettled(
      open.flatMap(({ id }) =>
        actors.map(async (actor) => {
          await this.#client.decide(id, { approved: true, actor });
          this.done.decisions++;
        }),
      ),
    );
  }

  async #redrive(): Promise<void> {
    const rows = await this.#stack.db.query<{ id: string; workflow: string }>(FAILED, [REDRIVEN]);
    await Promise.allSettled(
      rows.map(async ({ id, workflow }) => {
        const inputs = INPUTS.get(workflow) ?? {};
        await this.#client.operations.redrive(id, { inputs, by: "chaos" });
        this.done.redrives++;
      }),
    );
  }
}
