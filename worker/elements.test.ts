import type { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { partitionKeys } from "../sdk/internal.ts";
import { Elements, mapNames } from "./elements.ts";

/** Maps, each with so many characters of names; what was asked, and how much at one time. */
function maps(chars: number) {
  const asked = { names: [] as string[], together: 0, open: 0 };
  const answer = async <T>(value: T): Promise<T> => {
    asked.open += 1;
    asked.together = Math.max(asked.together, asked.open);
    await new Promise((turn) => setImmediate(turn));
    asked.open -= 1;
    return value;
  };
  const redis = {
    hmget: () => answer(["running", "1", "m1||"]),
    hget: (key: string) => {
      asked.names.push(key);
      return answer(JSON.stringify({ ctx: "x".repeat(chars) }));
    },
  };
  return { redis: redis as unknown as Redis, asked };
}
const elementsOf = (count: number, from = 0): { unit: string; epoch: string }[] =>
  Array.from({ length: count }, (_, i) => ({ unit: `run-${from + i}!0#0`, epoch: "1" }));

describe("what a worker knows of the maps around its elements", () => {
  it("is asked for all maps of a batch at one time, and once for each", async () => {
    const { redis, asked } = maps(10);
    const elements = new Elements(redis, partitionKeys(0));
    const found = await elements.look([...elementsOf(128), ...elementsOf(128)]);
    expect(found.size).toBe(256);
    expect(asked).toMatchObject({ together: 256, open: 0 });
    expect(asked.names).toHaveLength(128);
    asked.together = 0;
    await elements.look(elementsOf(128));
    expect(asked).toMatchObject({ together: 128 });
    expect(asked.names).toHaveLength(128);
  });

  it("is kept by its size, of all lanes together: what was used longest ago is read again", async () => {
    const { redis, asked } = maps(400);
    const names = mapNames(1000);
    const [one, two] = [0, 1].map((p) => new Elements(redis, partitionKeys(p), names));
    await one?.look(elementsOf(2));
    await two?.look(elementsOf(1, 2));
    expect(asked.names).toHaveLength(3);
    await one?.look(elementsOf(1, 1)); // two of three have room
    expect(asked.names).toHaveLength(3);
    await one?.look(elementsOf(1));
    expect(asked.names).toHaveLength(4);
  });

  it("is of a token's own expansion, also beside tokens of the one before a redrive", async () => {
    const at = { epoch: "1", rate: "old" };
    const redis = {
      hmget: () => Promise.resolve(["running", at.epoch, "m1||"]),
      hget: () => Promise.resolve(JSON.stringify({ ctx: { rate: at.rate } })),
    } as unknown as Redis;
    const elements = new Elements(redis, partitionKeys(0));
    const late = [0, 1].map((i) => ({ unit: `run!0#${i}`, epoch: "1" }));
    await elements.look(late);
    Object.assign(at, { epoch: "2", rate: "new" });
    const anew = late.map(({ unit }) => ({ unit, epoch: "2" }));
    const found = await elements.look([...late, ...anew]);
    expect(anew.map((token) => found.get(token)?.run?.epoch)).toEqual(["2", "2"]);
    expect(anew.map((token) => found.get(token)?.outside.vars)).toEqual([
      { ctx: { rate: "new" } },
      { ctx: { rate: "new" } },
    ]);
  });
});
