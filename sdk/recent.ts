/**
 * What was used lately, by key, as much of it as may be kept.
 *
 * Bounded by weight and not by number, since what is kept differs in size by a factor of thousands;
 * and dropped one by one: a cache that is emptied when it is full has forgotten everything each time
 * that one too many is in use. Workers look up a workflow for every token, so a look-up only marks
 * what it finds. Whoever makes room goes from the oldest on, and what was used since it was last
 * looked at has a second chance behind the others.
 */
export class Recent<V> {
  readonly #weightMax: number;
  readonly #kept = new Map<string, { value: V; weight: number; isUsed: boolean }>();
  #weight = 0;
  /** Look-ups that found something. */
  hits = 0;

  /** What weighs more than all may is kept by itself. */
  constructor(weightMax: number) {
    this.#weightMax = weightMax;
  }

  /** The value, which is used thereby. */
  get(key: string): V | undefined {
    const one = this.#kept.get(key);
    if (one === undefined) {
      return undefined;
    }
    one.isUsed = true;
    this.hits += 1;
    return one.value;
  }

  set(key: string, value: V, weight: number): void {
    this.#drop(key);
    this.#makeRoom(this.#weightMax - weight);
    this.#kept.set(key, { value, weight, isUsed: false });
    this.#weight += weight;
  }

  /** What has had its second chance comes round again within the same walk. */
  #makeRoom(weightMax: number): void {
    for (const [oldest, one] of this.#kept) {
      if (this.#weight <= weightMax) {
        return;
      }
      if (one.isUsed) {
        one.isUsed = false;
        this.#kept.delete(oldest);
        this.#kept.set(oldest, one);
      } else {
        this.#drop(oldest);
      }
    }
  }

  #drop(key: string): void {
    this.#weight -= this.#kept.get(key)?.weight ?? 0;
    this.#kept.delete(key);
  }
}
