/** A stack of real processes for one recovery test, and what is asked of its runs. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { uuidv7 } from "uuidv7";
import { globalKeys, partitionKeys } from "../../sdk/internal.ts";
import { readCursor, readJournals } from "../../sdk/postgres/index.ts";
import { ChaosStack } from "../chaos/stack.ts";
import { waitFor } from "../support/wait-for.ts";
import type { RoleOptions } from "../e2e/role.ts";

export const keys = partitionKeys(0);
const LIMIT_MS = 120_000;
const ROWS = {
  name: "scene_rows",
  text: "SELECT id, status, output FROM runs WHERE id = ANY($1::text[])",
};
type Row = { id: string; status: string; output: string | null };

export class Scene {
  readonly stack: ChaosStack;

  private constructor(stack: ChaosStack) {
    this.stack = stack;
  }

  /** A supervisor and as many workers; `more` is laid over the options of each. */
  static async start(workers: number, more: Partial<RoleOptions> = {}): Promise<Scene> {
    const stack = await ChaosStack.start();
    const calls = join(stack.dir, "calls");
    mkdirSync(calls);
    stack.more = { calls, ...more };
    await stack.spawn("supervisor");
    for (let i = 0; i < workers; i++) {
      await stack.spawn("worker");
    }
    return new Scene(stack);
  }

  /** Submits so many runs and waits until each has its row. */
  async submit(workflow: object, count: number): Promise<string[]> {
    const ids = Array.from({ length: count }, () => uuidv7());
    for (const [n, id] of ids.entries()) {
      const text = JSON.stringify({ workflow, run_id: id, input: { n }, idempotency_key: id });
      await this.stack.redis.xadd(globalKeys.submissions, "*", "submission", text);
    }
    await waitFor(async () => (await this.#rows(ids)).length === count, {
      ...{ timeoutMs: LIMIT_MS, describe: "not all runs are accepted" },
    });
    return ids;
  }

  async endedOf(ids: readonly string[]): Promise<Row[]> {
    return (await this.#rows(ids)).filter(({ status }) => status === "COMPLETED");
  }

  /** Waits until all have completed; their outputs, in the order of `ids`. */
  async outputs(ids: readonly string[], timeoutMs = LIMIT_MS): Promise<unknown[]> {
    await waitFor(async () => (await this.endedOf(ids)).length === ids.length, {
      ...{ timeoutMs, describe: "not all runs have completed" },
    });
    const rows = new Map((await this.#rows(ids)).map((row) => [row.id, row.output ?? "null"]));
    return ids.map((id) => JSON.parse(rows.get(id) ?? "null") as unknown);
  }

  /** Transitions that are in the journal more often than they may be. */
  async doubled(ids: readonly string[]): Promise<string[]> {
    const journals = await readJournals(this.stack.db, ids);
    return [...journals].flatMap(([id, journal]) => {
      const ends = journal.map(({ transition: t }) => `${t.e} ${t.n ?? ""} ${t.s ?? ""}`);
      const once = ends.filter((text) => /^(run\.completed|node\.completed)/.test(text));
      return once.filter((text, i) => once.indexOf(text) !== i).map((text) => `${id} ${text}`);
    });
  }

  /** Every call of a function so far: `run/node/scope attempt`. */
  calls(): string[] {
    const folder = join(this.stack.dir, "calls");
    return readdirSync(folder).flatMap((file) =>
      readFileSync(join(folder, file), "utf8").split("\n").filter(Boolean),
    );
  }

  /** Waits until everything in Redis' journal is archived. */
  async archived(): Promise<void> {
    await waitFor(async () => {
      const tail = Number(await this.stack.redis.hget(keys.meta, "seq"));
      return (await readCursor(this.stack.db, 0))?.seq === tail;
    });
  }

  #rows(ids: readonly string[]): Promise<Row[]> {
    return this.stack.db.query<Row>(ROWS, [ids]).catch(() => []);
  }
}

/** Two steps that count, with a pause between them: enough to be met in the middle. */
export const steps = {
  name: "steps",
  nodes: [
    {
      id: "a",
      type: "function",
      config: { function_name: "builtin.add", params: { a: "${input.n}", b: 1 } },
    },
    {
      id: "p",
      type: "function",
      config: { function_name: "builtin.sleep", params: { ms: 100, value: 1 } },
    },
    {
      id: "b",
      type: "function",
      config: { function_name: "builtin.add", params: { a: "${ctx.a.output.sum}", b: 1 } },
    },
  ],
  edges: [
    { from: "a", to: "p" },
    { from: "p", to: "b" },
  ],
  output: { sum: "${ctx.b.output.sum}" },
};

/** What `steps` gives for so many runs. */
export function sums(count: number): { sum: number }[] {
  return Array.from({ length: count }, (_, n) => ({ sum: n + 2 }));
}
