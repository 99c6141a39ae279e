/**
 * Ids that wait in line, one line for each tenant; tenants have turns. Whoever has many in line waits
 * for them himself, and all others for one of them each time.
 */
export class TenantLines {
  readonly #tenants = new Map<string, string>();
  /** In the order of their turns. */
  readonly #lines = new Map<string, Set<string>>();

  get size(): number {
    return this.#tenants.size;
  }

  has(id: string): boolean {
    return this.#tenants.has(id);
  }

  /** At the end of its tenant's line; one that waits already keeps its place. */
  add(id: string, tenant: string): void {
    if (!this.has(id)) {
      this.#tenants.set(id, tenant);
      const line = this.#lines.get(tenant) ?? new Set();
      this.#lines.set(tenant, line.add(id));
    }
  }

  delete(id: string): void {
    const tenant = this.#tenants.get(id) ?? "";
    const line = this.#lines.get(tenant);
    line?.delete(id);
    if (line?.size === 0) {
      this.#lines.delete(tenant);
    }
    this.#tenants.delete(id);
  }

  /** The next ones, at most `count`: one of each line, then a second, … */
  page(count: number): string[] {
    const page: string[] = [];
    let lines = [...this.#lines.values()].map((line) => line.values());
    while (lines.length > 0) {
      lines = lines.filter((line) => {
        const { value, done } = page.length < count ? line.next() : { done: true };
        void (value !== undefined && page.push(value));
        return done !== true;
      });
    }
    return page;
  }

  /** Tenants of all of these have had their turns: the others are before them. */
  endTurns(ids: readonly string[]): void {
    for (const id of ids) {
      const of = this.#tenants.get(id) ?? "";
      const line = this.#lines.get(of);
      if (line !== undefined) {
        this.#lines.delete(of);
        this.#lines.set(of, line);
      }
    }
  }

  /** The turn of this one's tenant is the next; those before it have had theirs. */
  turnTo(id: string): void {
    const tenant = this.#tenants.get(id);
    for (const [of, line] of tenant === undefined ? [] : [...this.#lines]) {
      if (of === tenant) {
        return;
      }
      this.#lines.delete(of);
      this.#lines.set(of, line);
    }
  }
}
