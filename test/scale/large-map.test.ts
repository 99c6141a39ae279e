/**
 * A large map through real processes: its results are in order, no more elements run at one time than
 * may, and no script call carries more for it than for a small one. Counted, not timed. Of 5,000
 * elements; GAVOTTE_MAP_ITEMS=100000 for more, and GAVOTTE_EVIDENCE=<file> for what the calls took,
 * and the memory.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { uuidv7 } from "uuidv7";
import { certifiedSource, globalKeys, SCRIPTS, type ScriptName } from "../../sdk/internal.ts";
import { readJournal, type ArchivedTransition } from "../../sdk/postgres/index.ts";
import { hasPostgres } from "../chaos/has-postgres.ts";
import { keys, Scene } from "../recovery/scene.ts";

const ITEMS = Number(process.env["GAVOTTE_MAP_ITEMS"] ?? 5000);
const WINDOW = 300;
const LIMIT_MS = 120_000 + ITEMS * 20;
/** What one call carries at most, whatever there is (docs/ARCHITECTURE.md, Limits). */
const EXPANDED_MAX = 500;
const COMPLETED_MAX = 128;
const LOOK_MS = 20;
/** The log has what scripts call, too: of a large map more than it can hold, all of it shorter. */
const LOGGED_US = "100";

/** Each element takes two steps, the second one after a queue hop. */
const workflow = {
  name: "large-map",
  nodes: [
    {
      id: "all",
      type: "map",
      config: {
        items: "input.list",
        max_concurrency: WINDOW,
        do: {
          nodes: [
            { id: "plus", type: "transform", config: { expression: "item + 7" } },
            { id: "keep", type: "function", config: { function_name: "builtin.echo" } },
          ],
          edges: [{ from: "plus", to: "keep" }],
        },
      },
    },
  ],
  edges: [],
};

/** The most elements that had begun and not ended, and what the map's hash took, while it runs. */
class WindowGauge {
  most = 0;
  mapBytes = 0;
  readonly #scene: Scene;
  readonly #map: string;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(scene: Scene, runId: string) {
    this.#scene = scene;
    this.#map = keys.run(`${runId}!0`);
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { redis } = this.#scene.stack;
    while (!this.#stop.signal.aborted) {
      const fields = await redis.hmget(this.#map, "next", "done", "failed");
      const [next, done, failed] = fields.map((text) => Number(text ?? 0)) as [
        number,
        number,
        number,
      ];
      this.most = Math.max(this.most, next - done - failed);
      this.mapBytes = Math.max(this.mapBytes, (await redis.memory("USAGE", this.#map)) ?? 0);
      await pause(LOOK_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }
}

/** Of each record of the journal, which is one script call: how many elements' steps it completed. */
function completedPerCall(journal: readonly ArchivedTransition[]): Map<string, number> {
  const calls = new Map<string, number>();
  for (const { position, transition } of journal) {
    const [seq = ""] = position.split(".");
    if (transition.e === "node.completed" && transition.m !== undefined) {
      calls.set(seq, (calls.get(seq) ?? 0) + 1);
    }
  }
  return calls;
}

interface Calls {
  calls: number;
  longestMs: number;
  over5Ms: number;
}

/** Calls of each script that took LOGGED_US or longer, from Redis' log of slow commands. */
async function callsOf(scene: Scene): Promise<{ [script: string]: Calls }> {
  const { redis } = scene.stack;
  const deployment = (await redis.hget(globalKeys.deployment, "id")) as string;
  const epoch = (await redis.hget(keys.meta, "epoch")) as string;
  const names = new Map(
    (Object.keys(SCRIPTS) as ScriptName[]).map((name) => {
      const source = certifiedSource(name, deployment, 0, epoch);
      return [createHash("sha1").update(source).digest("hex"), name];
    }),
  );
  const calls: { [script: string]: Calls } = {};
  type Slow = [id: number, at: number, us: number, command: string[]];
  for (const [, , us, [command = "", sha = ""]] of (await redis.slowlog("GET", -1)) as Slow[]) {
    const name = names.get(sha);
    if (/^evalsha$/i.test(command) && name !== undefined) {
      const of = (calls[name] ??= { calls: 0, longestMs: 0, over5Ms: 0 });
      of.calls++;
      of.longestMs = Math.max(of.longestMs, us / 1000);
      of.over5Ms += us > 5000 ? 1 : 0;
    }
  }
  return calls;
}

/** The most memory that each process of a role has had, where the system tells. */
function peakMiB(scene: Scene, role: "supervisor" | "worker"): number[] {
  return scene.stack.roles[role].flatMap(({ pid }) => {
    const status = `/proc/${pid}/status`;
    const text = existsSync(status) ? readFileSync(status, "utf8") : "";
    const [, kib] = /VmHWM:\s+(\d+) kB/.exec(text) ?? [];
    return kib === undefined ? [] : [Math.round(Number(kib) / 1024)];
  });
}

describe(`a map of ${ITEMS} elements`, async () => {
  if (!(await hasPostgres())) {
    it.skip("needs a Redis and a Postgres of its own", () => undefined);
    return;
  }
  let scene: Scene;
  let runId: string;
  let journal: ArchivedTransition[];
  let output: unknown;
  let window: WindowGauge;
  let seconds: number;
  const list = Array.from({ length: ITEMS }, (_, i) => i);

  beforeAll(async () => {
    scene = await Scene.start(2);
    const { redis, db } = scene.stack;
    await redis.config("SET", "slowlog-log-slower-than", LOGGED_US, "slowlog-max-len", "1000000");
    runId = uuidv7();
    window = new WindowGauge(scene, runId);
    const begun = performance.now();
    const submission = JSON.stringify({ workflow, run_id: runId, input: { list } });
    await redis.xadd(globalKeys.submissions, "*", "submission", submission);
    [output] = await scene.outputs([runId], LIMIT_MS);
    seconds = Math.round((performance.now() - begun) / 100) / 10;
    await window.stop();
    journal = await readJournal(db, runId);
  }, LIMIT_MS + 60_000);
  afterAll(() => scene.stack.stop());

  it("gives the results in the order of its items", () => {
    expect(output).toEqual(list.map((n) => n + 7));
  });

  it("runs as many elements at a time as it may, and never more", () => {
    expect(window.most).toBe(WINDOW);
    const open = new Set<string>();
    let most = 0;
    for (const { transition: t } of journal) {
      if (t.e === "map.element") {
        open.delete(`0#${t.i}`);
      } else if (t.e === "node.completed" && t.m !== undefined) {
        open.add(t.m);
      }
      most = Math.max(most, open.size);
    }
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(WINDOW);
  });

  it(`is stored ${EXPANDED_MAX} items at a time, each item once`, () => {
    const chunks = journal.flatMap(({ transition: { e, from = 0, items = [] } }) =>
      e === "map.expanded" && items.length > 0 ? [{ from, count: items.length }] : [],
    );
    const expected = Array.from({ length: Math.ceil(ITEMS / EXPANDED_MAX) }, (_, i) => i);
    expect(chunks).toEqual(
      expected.map((i) => ({
        from: i * EXPANDED_MAX,
        count: Math.min(EXPANDED_MAX, ITEMS - i * EXPANDED_MAX),
      })),
    );
  });

  it(`completes at most ${COMPLETED_MAX} steps per script call, each step once`, () => {
    const calls = [...completedPerCall(journal).values()];
    expect(calls.reduce((sum, steps) => sum + steps, 0)).toBe(2 * ITEMS);
    expect(Math.max(...calls)).toBeLessThanOrEqual(COMPLETED_MAX);
    // Steps that are ready together are settled together.
    expect(calls.length).toBeLessThan(ITEMS);
  });

  it("is seen call by call, with the time of each for whoever asks", async () => {
    const calls = await callsOf(scene);
    const chunks = Math.ceil(ITEMS / EXPANDED_MAX);
    expect(calls["expandMap"]?.calls).toBeGreaterThanOrEqual(chunks);
    expect(calls["completeTokens"]?.calls).toBeGreaterThanOrEqual((2 * ITEMS) / COMPLETED_MAX);
    const file = process.env["GAVOTTE_EVIDENCE"];
    if (file !== undefined && file !== "") {
      const about = { items: ITEMS, window: WINDOW, seconds, workers: 2, cores: cpus().length };
      const workerMiB = peakMiB(scene, "worker");
      const supervisorMiB = peakMiB(scene, "supervisor");
      const memory = { mapMiB: Math.round(window.mapBytes / 2 ** 20), workerMiB, supervisorMiB };
      writeFileSync(file, `${JSON.stringify({ ...about, memory, calls }, null, 2)}\n`);
    }
  });
});
