import { beforeEach, describe, expect, it } from "vitest";
import type { SupervisorContext } from "./context.ts";
import type { StoredIr } from "./ir-store.ts";
import { StartWorkflows } from "./start-workflows.ts";

describe("workflows of runs that are about to start", () => {
  const irs = new Map([["h", { hash: "h", text: '"whole"' } as StoredIr]]);
  let there: string;
  let calls: string[];
  const redis = {
    persist: () => Promise.resolve(calls.push("persist")),
    strlen: () => Promise.resolve(there.length),
    set: (_key: string, text: string) => {
      calls.push("set");
      there = text;
      return Promise.resolve("OK");
    },
    zadd: () => Promise.resolve(calls.push("used")),
  };
  const clock = { nowMs: () => 1, monotonicMs: () => 1 };
  const workflows = new StartWorkflows({ redis, clock } as unknown as SupervisorContext);

  beforeEach(() => {
    [there, calls] = ["", []];
  });

  it("are put where they are missing, or were cut off", async () => {
    expect(await workflows.publish(irs)).toEqual(new Set(["h"]));
    there = there.slice(1);
    await workflows.publish(irs);
    expect(there).toBe('"whole"');
    expect(calls.filter((call) => call === "set")).toHaveLength(2);
  });

  it("that are there are not sent again; they stay, and are noted as in use", async () => {
    there = '"whole"';
    await workflows.publish(irs);
    expect(calls.sort()).toEqual(["persist", "used"]);
  });

  it("that cannot be put are told: no run of theirs starts", async () => {
    const full = { ...redis, set: () => Promise.reject(new Error("OOM")) };
    const one = new StartWorkflows({ redis: full, clock } as unknown as SupervisorContext);
    await expect(one.publish(irs)).rejects.toThrow("OOM");
  });
});
