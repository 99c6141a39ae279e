import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { Apart, byPartition } from "./apart.ts";

it("a job that hangs holds up no other, and is not begun again before it has ended", async () => {
  const apart = new Apart(20);
  const done: string[] = [];
  let begun = 0;
  let end = (): void => undefined;
  const look = (): Promise<boolean> =>
    apart.run([
      ["away", () => ((begun += 1), new Promise<void>((resolve) => (end = resolve)))],
      ["there", async () => void done.push("there")],
    ]);
  expect(await look()).toBe(false);
  expect(await look()).toBe(false);
  expect([begun, done]).toEqual([1, ["there", "there"]]);
  expect([apart.isBusy("aw"), apart.isBusy("th")]).toEqual([true, false]);
  end();
  await delay(0);
  expect(apart.isBusy("aw")).toBe(false);
  await look();
  expect(begun).toBe(2);
});

it("tells when all have ended, and throws what one of them throws", async () => {
  const apart = new Apart();
  expect(await apart.run([["a", async () => undefined]])).toBe(true);
  await expect(apart.run([["a", () => Promise.reject(new Error("no"))]])).rejects.toThrow("no");
  expect(await apart.run([["a", async () => undefined]])).toBe(true);
});

it("groups by partition, in order", () => {
  const [a, b, c] = [{ partition: 2 }, { partition: 0 }, { partition: 2 }];
  expect(byPartition([a, b, c])).toEqual([
    [2, [a, c]],
    [0, [b]],
  ]);
});
