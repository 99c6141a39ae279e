/**
 * Children outlive nobody: what a parent's end, a void round, a map that failed or a wait that was
 * over time leaves behind is cancelled here, and what those leave behind after them (21 B6). A
 * parent's pause is theirs, too (pause-children.ts).
 *
 * The archiver says of which runs the children are to be looked at; that hint is lost with the
 * process, so a sweep goes round all open children, page after page. Whether one is waited for is
 * decided by the script that cancels it, so looking too often does nothing.
 */
import { cancelOrphans } from "../sdk/internal.ts";
import { askToWake, openChildren, openChildrenOf, type OpenChild } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { Loop } from "./loop.ts";
import { pauseWithParents } from "./pause-children.ts";

const PAGE = 200;
/** Between two sweeps, and between their pages: 100,000 open children are looked at in some 15 s. */
const SWEEP_MS = 2000;
const PAGE_MS = 25;
const HINTS_MAX = 10_000;

export class Children extends Loop {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  #parents = new Set<string>();
  #after = "";
  #sweepAtMs = 0;

  constructor(context: SupervisorContext, partition: number) {
    super({
      name: `children ${partition}`,
      logger: context.logger,
      step: () => this.#step(),
    });
    this.#context = context;
    this.#partition = partition;
  }

  /** The children of these runs may be nobody's now. Beyond a limit the sweep finds them later. */
  look(parents: readonly string[]): void {
    if (parents.length > 0 && this.#parents.size < HINTS_MAX) {
      parents.forEach((id) => this.#parents.add(id));
      this.wake();
    }
  }

  async #step(): Promise<number> {
    const parents = [...this.#parents].slice(0, PAGE);
    if (parents.length > 0) {
      await this.#lookAt(parents);
      parents.forEach((id) => this.#parents.delete(id));
      return 0;
    }
    const now = this.#context.clock.monotonicMs();
    if (now >= this.#sweepAtMs) {
      await this.#sweep();
      this.#sweepAtMs = now + (this.#after === "" ? SWEEP_MS : PAGE_MS);
    }
    return this.#sweepAtMs - now;
  }

  async #lookAt(parents: readonly string[]): Promise<void> {
    for (let after = ""; ;) {
      const page = await openChildrenOf(this.#context.db, parents, after, PAGE);
      await this.#cancel(page);
      after = page.at(-1)?.id ?? "";
      if (page.length < PAGE) {
        return;
      }
    }
  }

  async #sweep(): Promise<void> {
    const page = await openChildren(this.#context.db, this.#partition, this.#after, PAGE);
    this.#after = page.length === PAGE ? (page.at(-1)?.id ?? "") : "";
    await this.#cancel(page);
  }

  async #cancel(page: readonly OpenChild[]): Promise<void> {
    if (page.length > 0) {
      const scripts = scriptsOf(this.#context, this.#partition);
      const { cancelled: count, asleep } = await cancelOrphans(scripts, page);
      await askToWake(this.#context.db, asleep); // a later look cancels them
      if (count > 0) {
        const { partition } = { partition: this.#partition };
        this.#context.logger.info({ partition, count }, "children nobody waits for are cancelled");
      }
      await pauseWithParents(this.#context, this.#partition, page);
    }
  }
}
