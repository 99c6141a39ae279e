import { expect, it } from "vitest";
import { systemClock } from "../sdk/internal.ts";
import { LATER, Patience, type Left } from "./patience.ts";

/** Its time for more than the first passes by timers alone. */
const clock = { ...systemClock, monotonicMs: () => 0 };

it("what the thread is at is the next batch's, also when the first asks for more meanwhile", async () => {
  const left: Left = {};
  const compiled: string[] = [];
  let finish = (_text: string): void => undefined;
  const isDone = new Promise<string>((resolve) => (finish = resolve));
  const compile = (id: string, answer: Promise<string>) => (): Promise<string> => {
    compiled.push(id);
    return answer;
  };
  const compileY = compile("y", isDone);
  // As a batch is admitted: all files first, then the inputs of those that are there.
  const batch = new Patience(clock, 1, left);
  expect(await batch.ask("x", "compile", compile("x", Promise.resolve("x")))).toBe("x");
  expect(await batch.ask("y", "compile", compileY)).toBe(LATER);
  expect(await batch.ask("x", "check", () => Promise.resolve([]))).toEqual([]);
  const told = new Patience(clock, 1, left).ask("y", "compile", compileY);
  finish("y");
  expect(await told).toBe("y");
  expect(compiled).toEqual(["x", "y"]);
});
