import { afterEach, expect, it, vi } from "vitest";
import { notedIfSlow } from "./stack.ts";

afterEach(() => void vi.useRealTimers());

it("a stack that takes long to start says so, once, and one that does not says nothing", async () => {
  vi.useFakeTimers();
  let notes = 0;
  const note = (): void => void (notes += 1);
  expect(await notedIfSlow(Promise.resolve("up"), note)).toBe("up");
  vi.advanceTimersByTime(60_000);
  expect(notes).toBe(0);
  let finish: (text: string) => void = () => undefined;
  const slow = notedIfSlow(new Promise<string>((resolve) => (finish = resolve)), note);
  vi.advanceTimersByTime(60_000);
  expect(notes).toBe(1);
  finish("up");
  expect(await slow).toBe("up");
  await expect(notedIfSlow(Promise.reject(new Error("down")), note)).rejects.toThrow("down");
});
