/** What waits in the order in which it came; whoever is first and may begin is taken. */

export class Line<T> {
  #entries: T[] = [];
  /** Where the first stands: what was taken from the front is cut off now and then. */
  #head = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  has(entry: T): boolean {
    return this.#entries.indexOf(entry, this.#head) >= 0;
  }

  add(entry: T): void {
    this.#entries.push(entry);
  }

  take(mayBegin: (entry: T) => boolean): T | undefined {
    for (let at = this.#head; at < this.#entries.length; at++) {
      const entry = this.#entries[at];
      if (entry === undefined || !mayBegin(entry)) continue;
      this.#removeAt(at);
      return entry;
    }
    return undefined;
  }

  /** False: it is not here. */
  remove(entry: T): boolean {
    const at = this.#entries.indexOf(entry, this.#head);
    if (at >= 0) this.#removeAt(at);
    return at >= 0;
  }

  #removeAt(at: number): void {
    if (at !== this.#head) this.#entries.splice(at, 1);
    else this.#head += 1;
    if (this.#head < 1000 || this.#head * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }
}
