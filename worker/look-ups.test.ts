/** What becomes of tokens that a lane looks up; with Redis: redelivery.test.ts, prepare.test.ts. */
import { pino } from "pino";
import { beforeEach, describe, expect, it } from "vitest";
import type { ReadyToken, ScriptRunner } from "../sdk/internal.ts";
import { leasesOf, preparedOf, runOf, tokenOf } from "./lane.fixture.ts";
import type { Held, Leases } from "./leases.ts";
import { LookUps, type LookUpsLane } from "./look-ups.ts";
import type { Preparation } from "./prepare.ts";

const AWAY = Object.assign(new Error("away"), { code: "ECONNRESET" });

let leases: Leases;
/** What has become of each run's token, in order. */
let told: string[];
/** Runs whose tokens wait, and were delivered before. */
let before: string[];
/** What is found of a token, and how often it was looked up. */
let found: (token: ReadyToken, times: number) => Preparation["kind"];
let lookUps: LookUps;
let lane: LookUpsLane;
let isReadable: boolean;
/** What a pause says of a token that is put aside: 0 it is held, 1 its run goes on. */
let holds: number[];

beforeEach(() => {
  leases = leasesOf();
  told = [];
  before = [];
  isReadable = false;
  holds = [];
  found = () => "ready";
  const times = new Map<string, number>();
  const tell = (what: string, run: string): void => void told.push(`${run} ${what}`);
  const handBacks = {
    isLookDue: false,
    giveBack: (all: Held[], error: Error | null = null) => {
      all.forEach((held) => {
        leases.drop(held);
        tell(`back${error === null ? "" : `: ${error.message}`}`, runOf(held));
      });
      return Promise.resolve();
    },
    leave: (token: ReadyToken) => tell("left", token.runId),
  };
  lane = {
    waiting: {
      add: (p) => {
        tell("waits", runOf(p));
        void (p.isRedelivered === true && before.push(runOf(p)));
      },
      pump: () => undefined,
    },
    executions: {
      failed: (_, { code, message }) => `${code} ${message}` as never,
      leave: ({ token }) => tell("left by the dead", token.runId),
    },
    settlements: {
      send: (item, token) =>
        tell(`sent: ${typeof item === "string" ? item : "ended"}`, token.runId),
      finish: ({ token }) => tell("finished", token.runId),
    },
    handBacks: handBacks as unknown as LookUpsLane["handBacks"],
  };
  const scripts = { keys: { meta: "m", run: () => "r" }, transition: () => [0, holds.shift()] };
  lookUps = new LookUps(
    {
      scripts: scripts as unknown as ScriptRunner,
      ...{ leases, deliveriesMax: 5, logger: pino({ level: "silent" }) },
      preparer: {
        prepare: (tokens) =>
          Promise.resolve().then(() =>
            tokens.map((token) => {
              times.set(token.runId, (times.get(token.runId) ?? 0) + 1);
              return preparationOf(token, found(token, times.get(token.runId) ?? 0));
            }),
          ),
        unread: (token) => preparedOf(token),
      },
      executor: { spread: () => "spread" as never },
      unreadable: {
        met: (token) => Promise.resolve(tell("is unreadable", token.runId)),
        isReadable: () => Promise.resolve(isReadable),
      },
    },
    lane,
  );
});

function preparationOf(token: ReadyToken, kind: Preparation["kind"]): Preparation {
  const prepared = preparedOf(token);
  const { profile } = prepared;
  const loading = Promise.resolve();
  return { kind, token, prepared, profile, loading } as unknown as Preparation;
}

/** Until what was begun meanwhile has ended: nothing here waits for a timer. */
const settled = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

describe("each token goes one way", () => {
  it.each([
    ["that can be executed", "ready", {}, ["a waits"], 1],
    ["that stood in its queue for too long", "late", {}, [/^a sent: TIMEOUT/], 1],
    ["that is void", "drop", {}, ["a sent: ended"], 1],
    ["that is void, of a dead worker", "drop", { redelivered: true }, [/sent/, /by the dead/], 1],
    ["whose workflow is nowhere", "unknown", {}, ["a left", "a is unreadable"], 1],
    ["whose workflow is not read yet", "later", {}, ["a left"], 1],
    ["of a paused run", "hold", {}, [], 0],
    ["that was delivered too often", "ready", { poison: true }, [/^a sent: POISON deliv/], 1],
  ] as const)("one %s", async (_, kind, how, ways, held) => {
    found = () => kind;
    holds = [0];
    await lookUps.admit([tokenOf("a")], how);
    await settled();
    expect(told).toEqual(ways.map((way) => expect.stringMatching(way) as unknown));
    expect(leases.size).toBe(held);
    expect(lane.handBacks.isLookDue).toBe(false);
  });

  it("one that was delivered before is told from one that a chain comes to", async () => {
    await lookUps.admit([tokenOf("a")], {});
    await lookUps.admit([tokenOf("b")], { redelivered: true });
    lookUps.again(tokenOf("c"), leases.hold(tokenOf("c")));
    await settled();
    expect(told).toEqual(["a waits", "b waits", "c waits"]);
    expect(before).toEqual(["b"]);
  });

  it.each([
    ["was delivered before", { redelivered: true }, ["a"]],
    ["has just been read", {}, []],
  ])("one that %s stays so if its run goes on when it is put aside", async (_, how, had) => {
    found = (_token, times) => (times === 1 ? "hold" : "ready");
    holds = [1];
    await lookUps.admit([tokenOf("a")], how);
    await settled();
    expect(told).toEqual(["a waits"]);
    expect(before).toEqual(had);
  });

  it("one that is not held any more goes none", async () => {
    found = () => {
      leases.forsake();
      return "ready";
    };
    await lookUps.admit([tokenOf("a")], {});
    expect(told).toEqual([]);
  });

  it("one whose run goes on again when it is put aside is looked up again", async () => {
    found = (_token, times) => (times < 3 ? "hold" : "ready");
    holds = [1, 1];
    await lookUps.admit([tokenOf("a")], {});
    await settled();
    expect(told).toEqual(["a waits"]);
  });

  it("one whose workflow has been read meanwhile is looked for soon", async () => {
    found = () => "later";
    isReadable = true;
    await lookUps.admit([tokenOf("a")], {});
    expect(lane.handBacks.isLookDue).toBe(true);
  });

  it("those of a turn that is over are handed back", async () => {
    const turn = { goesOn: () => false } as never;
    await lookUps.admit([tokenOf("a"), tokenOf("b")], { redelivered: true, turn });
    expect(told).toEqual(["a back", "b back"]);
  });
});

describe("poison", () => {
  it("is executed where nothing is: a dead path goes on, an output is given up", async () => {
    const all = [tokenOf("dead", { kind: "skip" }), tokenOf("end", { kind: "finish" })];
    await lookUps.admit(all, { redelivered: true, poison: true });
    expect(told).toEqual(["dead waits", "end finished"]);
  });

  it("that cannot even be looked up fails with the reason", async () => {
    found = () => {
      throw new Error("what is this");
    };
    const how = { redelivered: true, poison: true };
    await expect(lookUps.admit([tokenOf("a")], how)).rejects.toThrow("what is this");
    expect(told).toEqual([expect.stringMatching(/^a sent: POISON .*what is this$/)]);
  });
});

describe("a lookup that fails", () => {
  it.each([
    ["that were delivered before", { redelivered: true }],
    ["that have just been read", {}],
  ])("has each of several %s looked up by itself, and blames that one alone", async (_, how) => {
    found = ({ runId }) => {
      if (runId === "bad") {
        throw new Error("what is this");
      }
      return "ready";
    };
    await lookUps.admit([tokenOf("a"), tokenOf("bad"), tokenOf("b")], how);
    expect(told.sort()).toEqual(["a waits", "b waits", "bad back: what is this"]);
    expect(before).toEqual("redelivered" in how ? ["a", "b"] : []);
  });

  it("for want of a server blames none, poison neither", async () => {
    found = () => {
      throw AWAY;
    };
    const how = { redelivered: true, poison: true };
    await expect(lookUps.admit([tokenOf("a")], how)).rejects.toThrow("away");
    expect(told).toEqual(["a back: away"]); // as what is charged to nobody: hand-backs.test.ts
    lookUps.again(tokenOf("b"), leases.hold(tokenOf("b")));
    await settled();
    expect(told).toContain("b back: away");
    await expect(lookUps.admit([tokenOf("c"), tokenOf("d")], {})).rejects.toThrow("away");
    expect(told).toEqual(expect.arrayContaining(["c back", "d back"]));
  });
});
