/** Who of several suspects in one process is charged for its death, and when the next is tried. */
import { expect, it } from "vitest";
import { waitFor } from "../test/support/index.ts";
import { Trial, type Suspect } from "./trial.ts";

/** One whose deliveries are counted: it is in hand, so this one is among them. */
class Counted implements Suspect {
  deliveries = 3;
  end: () => void = () => undefined;
  readonly #gone = new Promise<void>((resolve) => (this.end = resolve));
  #isHeld = true;

  constructor() {
    void this.#gone.then(() => (this.#isHeld = false));
  }

  isHeld(): boolean {
    return this.#isHeld;
  }

  whenGone(): Promise<void> {
    return this.#gone;
  }

  recount(by: -1 | 1): Promise<void> {
    this.deliveries += by;
    return Promise.resolve();
  }
}

const FOR_EVER = 1e9;

it("there is one at a time, which is over when its suspect has ended", async () => {
  const trial = new Trial();
  const [first, next] = [new Counted(), new Counted()];
  expect(await trial.begin()).toBe(true);
  const ending = trial.end(first, FOR_EVER);
  expect(await trial.begin()).toBe(false);
  const isOver = trial.whenOver();
  first.end();
  await Promise.all([ending, isOver]);
  expect([await trial.begin(), trial.isUnderWay]).toEqual([true, true]);
  next.end();
  await trial.end(next, FOR_EVER);
  expect([first.deliveries, next.deliveries]).toEqual([3, 3]);
});

it("those that have outlived theirs are charged for no death during another's, and for all else", async () => {
  const trial = new Trial();
  const [first, second, third] = [new Counted(), new Counted(), new Counted()];
  const counts = (): number[] => [first, second, third].map(({ deliveries }) => deliveries);
  const seen: number[][] = [];
  for (const suspect of [first, second, third]) {
    expect(await trial.begin()).toBe(true);
    seen.push(counts());
    await trial.end(suspect, 0);
    seen.push(counts());
  }
  expect(seen).toEqual([
    [3, 3, 3],
    [3, 3, 3],
    [2, 3, 3],
    [3, 3, 3],
    [2, 2, 3],
    [3, 3, 3],
  ]);
  // What has ended is nobody's any more.
  first.end();
  await first.whenGone();
  await trial.begin();
  expect(counts()).toEqual([3, 2, 2]);
  await trial.end(null, FOR_EVER);
  expect(counts()).toEqual([3, 3, 3]);
});

it("what was delivered once waits for its end, and the next one for that", async () => {
  const trial = new Trial(0);
  const suspect = new Counted();
  await trial.begin();
  const ending = trial.end(suspect, FOR_EVER);
  expect(trial.holdForOthers()).toBe(false);
  suspect.end();
  await ending;
  expect(await trial.begin()).toBe(false); // whoever was refused is first
  expect(trial.holdForOthers()).toBe(true);
  expect(trial.holdForOthers()).toBe(true);
  trial.letOthersGo();
  expect(await trial.begin()).toBe(false);
  trial.letOthersGo();
  await waitFor(() => trial.begin());
  await trial.end(null, 0);
  expect(await trial.begin()).toBe(true); // nobody was refused
});

it("what could not be taken off a count is not put back", async () => {
  const trial = new Trial();
  const first = new Counted();
  await trial.begin();
  await trial.end(first, 0);
  const recount = first.recount.bind(first);
  first.recount = () => Promise.reject(new Error("away"));
  await trial.begin();
  first.recount = recount;
  await trial.end(null, 0);
  expect(first.deliveries).toBe(3);
});
