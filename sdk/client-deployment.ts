/**
 * Which deployment a client's Redis is of, and whether its database is of the same. Nothing else would
 * notice: a worker would execute runs of the one and say so in the other, a submission be taken in by
 * supervisors who store it where nobody looks.
 */
import type { Redis } from "ioredis";
import { GavotteError } from "./errors.ts";
import { inTime } from "./in-time.ts";
import { globalKeys } from "./keys.ts";
import { pause } from "./pause.ts";
import { isDatabaseAway, readDeployment, type Database } from "./postgres/index.ts";
import { isOfCluster } from "./redis/cluster-router.ts";

export interface DeploymentFacts {
  id: string;
  partitions: number;
}

const POLL_MS = 50;
/** For a server of a cluster, or for the database, to say it. */
const ANSWER_MS = 1000;
/** Postgres' word for a database that was never migrated. */
const NO_SUCH_TABLE = "42P01";

export class ClientDeployment {
  readonly #redis: Redis;
  readonly #db: Database;
  #known: DeploymentFacts | null = null;
  #isPaired = false;

  constructor({ redis, db }: { redis: Redis; db: Database }) {
    this.#redis = redis;
    this.#db = db;
  }

  /**
   * The deployment; a first supervisor makes it: waits so long for one. Throws GV_INTAKE_UNAVAILABLE
   * when there was none, GV_PARTITION_MISMATCH when Redis and database do not belong together.
   */
  async find(waitMs: number): Promise<DeploymentFacts> {
    const until = performance.now() + waitMs;
    for (;;) {
      const found = await this.#look();
      if (found !== null) {
        return found;
      }
      if (performance.now() >= until) {
        throw new GavotteError(
          "GV_INTAKE_UNAVAILABLE",
          'no supervisor has ever run on this Redis; start "gavotte supervisor" first',
        );
      }
      await pause(POLL_MS);
    }
  }

  /** Throws GV_PARTITION_MISMATCH. Of a Redis without a deployment nothing is said. */
  async assertPair(): Promise<void> {
    await (this.#isPaired ? undefined : this.#look());
  }

  async #look(): Promise<DeploymentFacts | null> {
    this.#known ??= await this.#read();
    if (this.#known !== null && !this.#isPaired) {
      await this.#compare(this.#known.id);
    }
    return this.#known;
  }

  /**
   * On a cluster one server may be away, or back without what it had; then the database says it, and
   * scripts refuse whoever belongs to another deployment.
   */
  async #read(): Promise<DeploymentFacts | null> {
    const isMany = isOfCluster(this.#redis);
    const asked = this.#redis.hgetall(globalKeys.deployment);
    const { id, partitions } = isMany ? await inTime(asked, ANSWER_MS, {}) : await asked;
    if (id !== undefined && partitions !== undefined) {
      return { id, partitions: Number(partitions) };
    }
    return isMany ? readDeployment(this.#db).catch(unlessNoSchema) : null;
  }

  /** A supervisor writes its deployment down here before it takes a Redis for it. */
  async #compare(id: string): Promise<void> {
    const asked = readDeployment(this.#db)
      .catch(unlessNoSchema)
      .then((row) => row?.id ?? null)
      .catch(unlessAway);
    const stored = await inTime(asked, ANSWER_MS, undefined);
    if (stored === undefined) {
      return; // nobody can tell now: asked again next time
    }
    if (stored !== id) {
      this.#known = null;
      const own = stored === null ? "the database to none" : `the database to ${stored}`;
      throw new GavotteError(
        "GV_PARTITION_MISMATCH",
        `this Redis belongs to deployment ${id}, ${own}; ` +
          "set redis_url and database_url to the pair that belongs together",
      );
    }
    this.#isPaired = true;
  }
}

function unlessNoSchema(error: unknown): null {
  if ((error as { code?: unknown }).code === NO_SUCH_TABLE) {
    return null;
  }
  throw error;
}

function unlessAway(error: unknown): undefined {
  if (!isDatabaseAway(error)) {
    throw error;
  }
}
