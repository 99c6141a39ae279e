/** Who of several suspects in one process is charged for its death, and when the next is tried. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { waitFor } from "../test/support/index.ts";
import { Trial, type Suspect } from "./trial.ts";
import type { Turn } from "./turn.ts";

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

/** Begins one. */
async function begun(trial: Trial): Promise<Turn> {
  const turn = await trial.begin();
  expect(turn).not.toBeNull();
  return turn as Turn;
}

it("there is one at a time, which is over when its suspect has ended", async () => {
  const trial = new Trial();
  const [first, next] = [new Counted(), new Counted()];
  const ending = trial.end(await begun(trial), first, FOR_EVER);
  expect(await trial.begin()).toBeNull();
  const isOver = trial.whenOver();
  first.end();
  await Promise.all([ending, isOver]);
  const turn = await begun(trial);
  expect(trial.isUnderWay).toBe(true);
  next.end();
  await trial.end(turn, next, FOR_EVER);
  expect([first.deliveries, next.deliveries]).toEqual([3, 3]);
});

it("those that have outlived theirs are charged for no death during another's, and for all else", async () => {
  const trial = new Trial();
  const [first, second, third] = [new Counted(), new Counted(), new Counted()];
  const counts = (): number[] => [first, second, third].map(({ deliveries }) => deliveries);
  const seen: number[][] = [];
  for (const suspect of [first, second, third]) {
    const turn = await begun(trial);
    seen.push(counts());
    await trial.end(turn, suspect, 0);
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
  const turn = await begun(trial);
  expect(counts()).toEqual([3, 2, 2]);
  await trial.end(turn, null, FOR_EVER);
  expect(counts()).toEqual([3, 3, 3]);
});

it("what was delivered once waits for its end, and the next one for that", async () => {
  const trial = new Trial(0);
  const suspect = new Counted();
  const ending = trial.end(await begun(trial), suspect, FOR_EVER);
  expect(trial.holdForOthers()).toBeNull();
  suspect.end();
  await ending;
  expect(await trial.begin()).toBeNull(); // whoever was refused is first
  const others = [trial.holdForOthers(), trial.holdForOthers()] as [Turn, Turn];
  trial.letOthersGo(others[0]);
  expect(await trial.begin()).toBeNull();
  trial.letOthersGo(others[1]);
  await trial.end(await waitFor(() => trial.begin()), null, 0);
  await begun(trial); // nobody was refused
});

it("what could not be taken off a count is not put back", async () => {
  const trial = new Trial();
  const first = new Counted();
  await trial.end(await begun(trial), first, 0);
  const recount = first.recount.bind(first);
  first.recount = () => Promise.reject(new Error("away"));
  const turn = await begun(trial);
  first.recount = recount;
  await trial.end(turn, null, 0);
  expect(first.deliveries).toBe(3);
});

it("what is taken off a count after its trial is put back, however late that is", async () => {
  const trial = new Trial(0, 500, 1);
  const first = new Counted();
  await trial.end(await begun(trial), first, 0);
  const recount = first.recount.bind(first);
  for (let i = 0; i < 3; i++) {
    let answer = (): void => undefined;
    first.recount = (by) =>
      by === 1
        ? recount(by)
        : recount(by).then(() => new Promise<void>((resolve) => (answer = resolve)));
    await trial.end(await begun(trial), null, 0);
    expect(first.deliveries).toBe(2);
    answer();
    await nextTurn();
    expect(first.deliveries).toBe(3);
  }
});

it("a turn in which nothing goes on is over, and who ends it later ends no other's", async () => {
  const trial = new Trial(0, 1);
  const late = await begun(trial);
  await waitFor(() => !trial.isUnderWay);
  const others = [trial.holdForOthers(), trial.holdForOthers()] as [Turn, Turn];
  const next = await waitFor(() => trial.begin());
  await trial.end(late, new Counted(), FOR_EVER);
  expect([late.goesOn(), trial.isUnderWay, next.goesOn()]).toEqual([false, true, true]);
  others.forEach((turn) => trial.letOthersGo(turn));
  await trial.end(next, null, 0);
  expect(trial.holdForOthers()?.goesOn()).toBe(true);
  expect(await trial.begin()).toBeNull();
});
