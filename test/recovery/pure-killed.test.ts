/** A pure function that kills its worker while it is called in the step of the node before it. */
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readJournal } from "../../sdk/postgres/index.ts";
import type { RoleOptions } from "../e2e/role.ts";
import { startEngine, type Engine } from "../harness/engine.ts";

const ROLE = new URL("../e2e/role.ts", import.meta.url);
const DELIVERIES_MAX = 3;

let engine: Engine;
let dir: string;
/** The one that lives, while another is wanted when it dies. */
let worker: ChildProcess | null = null;
let isOver = false;
let deaths = 0;

function startWorker(): void {
  const options: RoleOptions = {
    ...{ redisUrl: engine.redisUrl, databaseUrl: "", singleSession: false, leaseMs: 500 },
    ...{ id: `mortal-${deaths}`, deliveriesMax: DELIVERIES_MAX },
  };
  worker = fork(ROLE, ["worker", JSON.stringify(options)], { execArgv: ["--import", "tsx"] });
  worker.once("exit", () => {
    if (!isOver) {
      deaths += 1;
      startWorker();
    }
  });
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "gv-mortal-"));
  engine = await startEngine();
  startWorker();
}, 60_000);

afterAll(async () => {
  isOver = true;
  const gone = new Promise((resolve) => worker?.once("exit", resolve));
  worker?.kill("SIGKILL");
  await gone;
  await engine.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs a chain of three, of which the second, a pure one, kills so many workers. */
async function play(name: string, times: number) {
  const file = join(dir, name);
  const step = (id: string, function_name: string, more: object = {}): object => ({
    ...{ id, type: "function", config: { function_name, params: { file, deaths: times } } },
    ...more,
  });
  const workflow = {
    name,
    nodes: [step("a", "note"), step("b", "die", { pure: true }), step("c", "note")],
    edges: [
      { from: "a", to: "b" },
      { from: "b", to: "c" },
    ],
    output: { c: "${ctx.c.output.by > 0}" },
  };
  const runId = await engine.submit({ workflow, input: null });
  const end = await engine.ended(runId);
  const ends = (await readJournal(engine.db, runId)).flatMap(({ transition: { e, n } }) =>
    /^node\.(completed|failed)$/.test(e) ? [`${e.slice(5)} ${"abc"[n as number]}`] : [],
  );
  const called = (readFileSync(file, "utf8").match(/\w$/gm) ?? []).join("");
  return { ...end, ends, called };
}

describe("A10: a pure function that kills its worker in the step of the node before it", () => {
  it("is called there once, then in a step of its own; every node counts once", async () => {
    const before = deaths;
    const { status, output, ends, called } = await play("once", 1);
    expect({ status, output }).toEqual({ status: "COMPLETED", output: '{"c":true}' });
    // Nothing was kept of the step that died with its worker.
    expect(called).toBe("ababc");
    expect(ends).toEqual(["completed a", "completed b", "completed c"]);
    expect(deaths - before).toBe(1);
  }, 60_000);

  it("ends as POISON if it always does, and not the node before it", async () => {
    const { status, error, ends, called } = await play("always", 1000);
    expect(status).toBe("FAILED");
    expect(JSON.parse(error as string)).toMatchObject({ code: "POISON", node: "b" });
    expect(ends).toEqual(["completed a", "failed b"]);
    expect(called).toBe(`aba${"b".repeat(DELIVERIES_MAX)}`);
  }, 60_000);
});
