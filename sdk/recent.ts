/**
 * What was used last, by key, as much of it as may be kept.
 *
 * Bounded by weight and not by number, since what is kept differs in size by a factor of thousands;
 * and what is dropped is what was used longest ago, one by one: a cache that is emptied when it is
 * full has forgotten everything each time that one too many is in use.
 */
export class Recent<V> {
  readonly #weightMax: number;
  /** In the order of use: a map keeps the order in which its keys were set. */
  readonly #kept = new Map<string, { value: V; weight: number }>();
  #weight = 0;

  /** What weighs more than all may is kept by itself. */
  constructor(weightMax: number) {
    this.#weightMax = weightMax;
  }

  /** The value, which is used thereby. */
  get(key: string): V | undefined {
    const one = this.#kept.get(key);
    if (one !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, one);
    }
    return one?.value;
  }

  set(key: string, value: V, weight: number): void {
    this.#drop(key);
    this.#kept.set(key, { value, weight });
    this.#weight += weight;
    for (const oldest of this.#kept.keys()) {
      if (this.#weight <= this.#weightMax || oldest === key) {
        return;
      }
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#weight -= this.#kept.get(key)?.weight ?? 0;
    this.#kept.delete(key);
  }
}
