/**
 * A bounded cache that forgets what was used longest ago.
 *
 * A Map iterates in insertion order, so taking an entry out and putting it back makes it the
 * youngest; the first key is then always the oldest.
 */
export class LruCache<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #entriesMax: number;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value kept for `key`, or that of `make`, kept from now on; its errors are not kept. */
  getOrMake(key: K, make: () => V): V {
    const kept = this.#entries.get(key);
    if (kept !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, kept);
      return kept;
    }
    const made = make();
    if (this.#entries.size >= this.#entriesMax) {
      const oldest = this.#entries.keys().next();
      if (oldest.done !== true) this.#entries.delete(oldest.value);
    }
    this.#entries.set(key, made);
    return made;
  }
}
