/** Cases that fail are made smaller, without a Redis: what fails here is decided by the document. */
import { describe, expect, it } from "vitest";
import { compile, type Json } from "../../compiler/index.ts";
import type { GenerateOptions, JsonObject } from "../generate/workflow.ts";
import { Case } from "./case.ts";
import { playAll } from "./cases.ts";
import { shrink, type Shrunk } from "./shrink.ts";

const BOUNDS = { tries: 5000, seconds: 60 };
const OPTIONS: GenerateOptions = { loops: true, maps: true, failures: true, anyJoins: true };
const KINDS: [string, GenerateOptions][] = [
  ["of any shape", OPTIONS],
  ["that go on", { ...OPTIONS, continue: true }],
  ["with failures that are handled, and waits", { ...OPTIONS, handledOnly: true, waits: true }],
  ["without failures", { loops: true, maps: true }],
];
const SEEDS = [3, 8, 21];
/** Smaller cases of a seed that are compiled. */
const SAMPLES = 12;

const nodesIn = (document: JsonObject): JsonObject[] => {
  const nodes = (document["nodes"] ?? [document]) as JsonObject[];
  return nodes.flatMap((node) => {
    const body = (node["config"] as JsonObject)["do"] as JsonObject | undefined;
    return body === undefined ? [node] : [node, ...nodesIn(body)];
  });
};
const typesIn = (document: JsonObject): Json[] => nodesIn(document).map(({ type }) => type as Json);

/** An invariant that rejects what has a node of this type. */
const rejects =
  (type: string) =>
  (one: Case): Promise<void> => {
    const types = typesIn(one.workflow(OPTIONS));
    return types.includes(type) ? Promise.reject(new Error(`a ${type}`)) : Promise.resolve();
  };

/** The first seed whose workflow it rejects and that is large, made smaller. */
async function shrunk(type: string, bounds = BOUNDS): Promise<Shrunk> {
  for (let seed = 1; ; seed++) {
    const one = new Case(seed);
    const failure = await rejects(type)(one).catch((error: unknown) => error);
    if (failure !== undefined && nodesIn(one.documents[0] as JsonObject).length > 30) {
      return shrink(one, failure, rejects(type), bounds);
    }
  }
}

describe("the smallest case that fails", () => {
  it("is a map and nothing else where a map is what fails", async () => {
    const found = await shrunk("map");
    expect(found).toMatchObject({ isMinimal: true, error: new Error("a map") });
    // What comes after it makes an object of its list, as behind all generated maps.
    expect(typesIn(found.case.documents[0] as JsonObject)).toEqual([
      "map",
      "function",
      "transform",
    ]);
  });

  it.each(["loop", "conditional", "aggregate", "filter"])(
    "keeps the %s that fails",
    async (type) => {
      const found = await shrunk(type);
      expect(found.isMinimal).toBe(true);
      expect(nodesIn(found.case.documents[0] as JsonObject).length).toBeLessThanOrEqual(5);
    },
  );

  it("is the same every time, and its seed and cuts name it", async () => {
    const [found, again] = [await shrunk("map"), await shrunk("map")];
    expect(again.case.replay).toBe(found.case.replay);
    const [, seed = "", cuts = ""] =
      /^GAVOTTE_SEED=(\d+) GAVOTTE_CUTS=(\S+)$/.exec(found.case.replay) ?? [];
    expect(new Case(Number(seed), cuts).workflow(OPTIONS)).toEqual(found.case.documents[0]);
  });

  it("is made of each of several workflows, whichever fails", async () => {
    const play = (one: Case): Promise<void> => {
      const [top, leaf] = [one.workflow(OPTIONS), one.workflow(OPTIONS, one.seed + 1)];
      const fails = nodesIn(top).length > 2 && typesIn(leaf).includes("function");
      return fails ? Promise.reject(new Error("both")) : Promise.resolve();
    };
    for (let seed = 1; ; seed++) {
      const one = new Case(seed);
      const failure = await play(one).catch((error: unknown) => error);
      if (failure !== undefined) {
        const found = await shrink(one, failure, play, BOUNDS);
        expect(found.case.documents.map((document) => nodesIn(document).length)).toEqual([3, 1]);
        return;
      }
    }
  });

  it("is what was found when the tries or the time are over", async () => {
    expect(await shrunk("map", { tries: 7, seconds: 60 })).toMatchObject({
      tries: 7,
      isMinimal: false,
    });
    expect(await shrunk("map", { tries: 7, seconds: 0 })).toMatchObject({
      tries: 0,
      isMinimal: false,
    });
  });
});

describe("all that is tried", () => {
  it.each(KINDS)(
    "is valid: %s",
    (_, options) => {
      for (const seed of SEEDS) {
        const one = new Case(seed);
        one.workflow(options);
        const all = one.smaller();
        for (const less of all.filter((_, i) => i % Math.ceil(all.length / SAMPLES) === 0)) {
          const { diagnostics } = compile({ document: less.workflow(options) });
          const errors = diagnostics.filter(({ severity }) => severity === "error");
          expect([less.replay, errors]).toEqual([less.replay, []]);
        }
      }
    },
    60_000,
  );
});

describe("a test that fails", () => {
  const failing = async (): Promise<string> => {
    const bounds = { ...BOUNDS };
    const failed = playAll([1, 2, 3], rejects("map"), bounds).catch((error: unknown) => error);
    return ((await failed) as Error).message;
  };

  it("names its seed, the smallest workflow, and how to play it again", async () => {
    const [first, found, again, document] = (await failing()).split("\n");
    expect(first).toMatch(/^GAVOTTE_SEED=\d fails: Error: a map$/);
    expect(found).toMatch(/^The smallest that still fails, of \d+ tried: Error: a map$/);
    expect(again).toMatch(/^GAVOTTE_SEED=\d GAVOTTE_CUTS=[\d.]+ npx vitest run /);
    expect(again).toMatch(/ test\/harness\/shrink.test.ts -t 'a test that fails names its seed, /);
    expect(typesIn(JSON.parse(document ?? "") as JsonObject)).toContain("map");
  });

  it("plays no case twice while all hold", async () => {
    const played: string[] = [];
    await playAll([1, 2, 3], (one) => Promise.resolve(played.push(one.replay)));
    expect(played).toEqual(["GAVOTTE_SEED=1", "GAVOTTE_SEED=2", "GAVOTTE_SEED=3"]);
  });
});
