/**
 * How many steps one worker executes at one time, over all of its partitions: its lanes share the
 * slots, and are asked in turn when one becomes free.
 */
export class Slots {
  readonly max: number;
  #taken = 0;
  /** What each lane does with room. */
  readonly #lanes: (() => void)[] = [];
  #turn = 0;

  constructor(max: number) {
    this.max = max;
  }

  get free(): number {
    return this.max - this.#taken;
  }

  /** A lane that takes slots; `goOn` is called when there may be one for it. */
  join(goOn: () => void): void {
    this.#lanes.push(goOn);
  }

  take(): void {
    this.#taken += 1;
  }

  release(): void {
    this.#taken -= 1;
  }

  /** Has every lane go on, each time another one first. */
  offer(): void {
    const count = this.#lanes.length;
    this.#turn = (this.#turn + 1) % count;
    for (let i = 0; i < count; i++) {
      this.#lanes[(this.#turn + i) % count]?.();
    }
  }
}
