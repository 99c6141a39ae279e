/**
 * Bytes of large values that are held at one time. Who asks for none is not kept waiting; others have
 * their turn in order, and one always, however much it asks for.
 */
export class ByteRoom {
  readonly #max: number;
  #taken = 0;
  readonly #waiting: { bytes: number; go: () => void }[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Does the work when there is room for so many bytes, which are free again when it is done. */
  async with<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (bytes === 0) {
      return work();
    }
    if (this.#waiting.length > 0 || !this.#fits(bytes)) {
      await new Promise<void>((go) => this.#waiting.push({ bytes, go }));
    } else {
      this.#taken += bytes;
    }
    try {
      return await work();
    } finally {
      this.#taken -= bytes;
      this.#goOn();
    }
  }

  #fits(bytes: number): boolean {
    return this.#taken === 0 || this.#taken + bytes <= this.#max;
  }

  #goOn(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#fits(next.bytes)) {
        return;
      }
      this.#waiting.shift();
      this.#taken += next.bytes;
      next.go();
    }
  }
}
