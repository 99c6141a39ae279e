/** C9: Postgres is away while sleeping runs are signalled and approved. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client } from "../../sdk/index.ts";
import { errorCode } from "../../sdk/internal.ts";
import { readJournals, runsById } from "../../sdk/postgres/index.ts";
import { hasPostgres } from "../chaos/has-postgres.ts";
import { waitFor } from "../support/index.ts";
import { keys, Scene } from "./scene.ts";

const RUNS = 8;
const LIMIT_MS = 60_000;
const AWAY = "GV_DATABASE_UNAVAILABLE";
/** Of a run that nobody could wake in time; the wish stands. */
const NOT_READY = "GV_RUN_NOT_READY";

const asking = {
  name: "asking",
  nodes: [
    { id: "go", type: "wait", config: { signal: "go" } },
    { id: "ask", type: "human", config: { title: "Ship?" } },
  ],
  edges: [{ from: "go", to: "ask" }],
  output: { go: "${ctx.go.output}", by: "${ctx.ask.output.approved}" },
};

describe("Postgres away under sleepers", async () => {
  if (!(await hasPostgres())) {
    it.skip("needs a Postgres that can be stopped", () => undefined);
    return;
  }
  let scene: Scene;
  let client: Client;
  beforeAll(async () => {
    scene = await Scene.start(1, { hibernateAfterMs: 200 });
    const { box, db } = scene.stack;
    client = await createClient({ redisUrl: box.url, database: db });
  }, LIMIT_MS);
  afterAll(async () => {
    await client.close();
    await scene.stack.stop();
  });

  async function asleep(ids: readonly string[]): Promise<void> {
    await waitFor(
      async () => {
        const rows = await runsById(scene.stack.db, ids);
        const there = await scene.stack.redis.exists(...ids.map((id) => keys.run(id)));
        return there === 0 && rows.every(({ asleepSinceMs }) => asleepSinceMs !== null);
      },
      { timeoutMs: LIMIT_MS, describe: "not all of them sleep" },
    );
  }

  /** What became of each: "accepted", or the code of the error that the caller got. */
  async function told(calls: readonly Promise<unknown>[]): Promise<string[]> {
    const answers = await Promise.allSettled(calls);
    return answers.map((answer) =>
      answer.status === "fulfilled" ? "accepted" : (errorCode(answer.reason) ?? "unknown"),
    );
  }

  /** Asks with Postgres going away under the calls, away, and back: each until it is accepted. */
  async function throughAbsence(ask: (i: number) => Promise<unknown>): Promise<Set<string>> {
    const all = Array.from({ length: RUNS }, (_, i) => i);
    const underway = told(all.map(ask));
    await scene.stack.killPostgres();
    const first = await underway;
    const away = await told(all.map(ask));
    // Nobody is told that it is done while nobody can wake the run.
    expect(away.filter((code, i) => code === "accepted" && first[i] !== "accepted")).toEqual([]);
    const seen = new Set([...first, ...away]);
    await scene.stack.startPostgres();
    const open = new Set(all);
    await waitFor(
      async () => {
        for (const i of open) {
          const [code = ""] = await told([ask(i)]);
          seen.add(code);
          void (code === "accepted" && open.delete(i));
        }
        return open.size === 0;
      },
      { timeoutMs: LIMIT_MS, describe: "a call that may be repeated is never accepted" },
    );
    return seen;
  }

  it(
    "C9: a signal or a decision is accepted or refused with an error that may be repeated, and is taken once",
    async () => {
      const ids = await scene.submit(asking, RUNS);
      await asleep(ids);
      const signalled = await throughAbsence((i) =>
        client.signal(ids[i] as string, "go", i, { id: `signal-${i}` }),
      );
      expect([...signalled].filter((code) => ![AWAY, NOT_READY].includes(code))).toEqual([
        "accepted",
      ]);
      expect(signalled).toContain(AWAY);
      await asleep(ids);
      const approvals = await client.approvals({ limit: RUNS });
      expect(approvals).toHaveLength(RUNS);
      const decided = await throughAbsence((i) =>
        client.decide(approvals[i]?.id ?? "", { approved: true, actor: "ann" }),
      );
      expect([...decided].filter((code) => ![AWAY, NOT_READY].includes(code))).toEqual([
        "accepted",
      ]);
      expect(decided).toContain(AWAY);
      expect(await scene.outputs(ids)).toEqual(ids.map((_, go) => ({ go, by: true })));
      const journals = await readJournals(scene.stack.db, ids);
      for (const [, journal] of journals) {
        const taken = journal.flatMap(({ transition: { e, v } }) =>
          e === "node.resumed" ? [(v as { kind: string }).kind] : [],
        );
        expect(taken).toEqual(["signal", "approval"]);
      }
    },
    4 * LIMIT_MS,
  );
});
