/**
 * The world outside of the runs: sends the signals that they wait for, again and again under the
 * same id, as a careful sender does: a signal is Redis' alone until the archive has it.
 */
import { setTimeout as pause } from "node:timers/promises";
import { createClient, type Client } from "../../sdk/client.ts";
import { SCENARIOS } from "./scenarios.ts";
import type { ChaosStack } from "./stack.ts";

const WAITING = {
  name: "chaos_waiting",
  text: `SELECT id, workflow FROM runs
    WHERE workflow = ANY($1::text[]) AND status = 'RUNNING' ORDER BY id LIMIT 200`,
};
const ROUND_MS = 300;

export class Signaller {
  readonly #stack: ChaosStack;
  readonly #client: Client;
  readonly #names = new Map(
    SCENARIOS.flatMap(({ document, signal }) =>
      signal === undefined ? [] : [[document.metadata.name, signal]],
    ),
  );
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  private constructor(stack: ChaosStack, client: Client) {
    this.#stack = stack;
    this.#client = client;
  }

  static async start(stack: ChaosStack): Promise<Signaller> {
    const client = await createClient({ redisUrl: stack.box.url, database: stack.db });
    const signaller = new Signaller(stack, client);
    signaller.#running = signaller.#run();
    return signaller;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#client.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const names = [...this.#names.keys()];
      type Row = { id: string; workflow: string };
      const rows = await this.#stack.db.query<Row>(WAITING, [names]).catch(() => []);
      // What cannot be sent now, or was sent before, is no matter: the next round tries again.
      await Promise.allSettled(
        rows.map(({ id, workflow }) => {
          const name = this.#names.get(workflow) as string;
          return this.#client.signal(id, name, { word: name }, { id: `${id}-go` });
        }),
      );
      await pause(ROUND_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }
}
