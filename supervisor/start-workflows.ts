/**
 * Workflows of runs that are about to start, put where workers look for them.
 *
 * They are there before any entry that names them, whole and without a time at which they go; a run
 * whose workflow is not there is not started. On a cluster a server that is away holds up nothing but
 * what lies on it.
 */
import { globalKeys, inTime, isOfCluster } from "../sdk/internal.ts";
import type { SupervisorContext } from "./context.ts";
import type { StoredIr } from "./ir-store.ts";

const SERVER_MS = 1000;

export class StartWorkflows {
  readonly #context: SupervisorContext;
  /** Writes that wait for a server which is away. */
  readonly #late = new Set<string>();

  constructor(context: SupervisorContext) {
    this.#context = context;
  }

  /**
   * Puts them there, and notes that they are in use. Returns the hashes of those that are there: on a
   * cluster a server may be away, and what needs it stays QUEUED for the sweep.
   */
  async publish(irs: ReadonlyMap<string, StoredIr>): Promise<Set<string>> {
    const { redis, clock } = this.#context;
    const there = new Set<string>();
    const puts = [...irs.values()].map(async (stored) => {
      const { hash } = stored;
      if (await this.#inTime(hash, () => this.#put(stored))) {
        there.add(hash);
      }
    });
    const uses = [...irs.keys()].flatMap((hash) => [clock.nowMs(), hash]);
    if (uses.length > 0) {
      const use = (): Promise<unknown> => redis.zadd(globalKeys.irUse, ...uses);
      puts.push(this.#inTime(globalKeys.irUse, use).then(() => undefined));
    }
    await Promise.all(puts);
    return there;
  }

  /**
   * Nearly always it is there, and may be large: so Redis is asked, each time anew since it may have
   * lost it, and told the text only then. Asked is for its length, which shows one that was cut off.
   * What is there does not expire from here on, as the reaper's second look relies on.
   */
  async #put({ hash, text }: StoredIr): Promise<void> {
    const { redis } = this.#context;
    const key = globalKeys.ir(hash);
    // Two commands on one connection, in this order; what is no string is none of ours.
    const [, bytes] = await Promise.all([redis.persist(key), redis.strlen(key).catch(() => -1)]);
    if (bytes !== Buffer.byteLength(text)) {
      await redis.set(key, text);
    }
  }

  /** Whether it was done; on a cluster, in time. What is late is not asked again meanwhile. */
  async #inTime(what: string, work: () => Promise<unknown>): Promise<boolean> {
    if (this.#late.has(what)) {
      return false;
    }
    const done = work().then(() => true);
    if (!isOfCluster(this.#context.redis) || (await inTime(done, SERVER_MS, false))) {
      return done;
    }
    this.#late.add(what);
    done.catch(() => false).finally(() => this.#late.delete(what));
    return false;
  }
}
