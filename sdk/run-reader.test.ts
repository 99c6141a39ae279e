import { beforeEach, describe, expect, it } from "vitest";
import { ClientGate } from "./client-ends.ts";
import type { Database } from "./postgres/index.ts";
import { RunReader } from "./run-reader.ts";

describe("what a client reads of a run", () => {
  let found: { ir: string }[];
  let asked: number;
  let gate: ClientGate;
  let runs: RunReader;
  const query = (): Promise<unknown[]> => {
    asked++;
    return Promise.resolve(found);
  };
  const dispatch = { stopped: () => Promise.resolve(null) };

  beforeEach(() => {
    [found, asked] = [[{ ir: '{"name":"w"}' }], 0];
    gate = new ClientGate();
    runs = new RunReader({ db: { query } as unknown as Database, gate, dispatch });
  });

  it("remembers workflows, which do not change under their hash", async () => {
    expect(await runs.irOf("h")).toEqual({ name: "w" });
    expect(await runs.irOf("h")).toEqual({ name: "w" });
    expect(asked).toBe(1);
    await runs.irOf("other");
    expect(asked).toBe(2);
  });

  it("does not remember that there is none: it may come", async () => {
    found = [];
    await expect(runs.irOf("h")).rejects.toMatchObject({ code: "GV_WORKFLOW_NOT_FOUND" });
    found = [{ ir: '{"name":"w"}' }];
    expect(await runs.irOf("h")).toEqual({ name: "w" });
  });

  it("says that there is no such run, whatever is asked of it", async () => {
    found = [];
    for (const ask of [runs.row("r"), runs.view("r"), runs.path("r"), runs.status("r")]) {
      await expect(ask).rejects.toMatchObject({ code: "GV_RUN_NOT_FOUND" });
    }
  });

  it("asks nothing once the client is closed", async () => {
    gate.close();
    await expect(runs.status("r")).rejects.toMatchObject({ code: "GV_CLIENT_CLOSED" });
    await expect(runs.irOf("h")).rejects.toMatchObject({ code: "GV_CLIENT_CLOSED" });
    expect(asked).toBe(0);
  });
});
