import { pino } from "pino";
import { expect, it } from "vitest";
import { systemClock } from "../sdk/internal.ts";
import { Background } from "./background.ts";

const lines: string[] = [];
const logger = pino({}, { write: (line: string) => void lines.push(line) });
const never = new Promise<void>(() => undefined);

function backgroundOf(): { stop: AbortController; background: Background } {
  const stop = new AbortController();
  return { stop, background: new Background(stop.signal, logger, systemClock) };
}

it("a task that fails is told of and done again, and the one beside it goes on", async () => {
  const { stop, background } = backgroundOf();
  const done = { fails: 0, other: 0 };
  const both = new Promise<void>((resolve) => {
    const look = (): void => void (done.fails > 2 && done.other > 2 && resolve());
    background.every("fails", 1, () => {
      done.fails += 1;
      look();
      return Promise.reject(new Error("no luck"));
    });
    background.every("other", 1, async () => {
      done.other += 1;
      look();
    });
  });
  await both;
  stop.abort();
  await background.ended();
  expect(lines.join("")).toContain("no luck");
});

it("ends in the middle of a wait, and only after the task under way", async () => {
  const { stop, background } = backgroundOf();
  let end = (): void => undefined;
  let isBegun = (): void => undefined;
  const begun = new Promise<void>((resolve) => (isBegun = resolve));
  background.every("waits", 1_000_000, () => never);
  background.every(
    "works",
    1_000_000,
    () => (isBegun(), new Promise((resolve) => (end = resolve))),
    0,
  );
  await begun;
  stop.abort();
  let isOver = false;
  const over = background.ended().then(() => (isOver = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  end();
  await over;
});

it("waits for work no longer than it is told, and tells what fails later", async () => {
  const { background } = backgroundOf();
  let fail = (_: Error): void => undefined;
  lines.length = 0;
  await background.inTime(new Promise((_, reject) => (fail = reject)), 1);
  fail(new Error("too late"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(lines.join("")).toContain("too late");
  await expect(background.inTime(Promise.reject(new Error("at once")), 1_000_000)).rejects.toThrow(
    "at once",
  );
});
