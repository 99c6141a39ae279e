/**
 * Whether the journal outgrows what waits in Redis for the archive: Postgres is away, or slow. Then no
 * more submissions are taken, and this says so; they wait in their stream.
 */
import { BACKLOG_BYTES_SOFT, backlogBytes, inTime, partitionKeys } from "../sdk/internal.ts";
import { readCursor } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";

/** Between two looks. */
export const BACKLOG_LOOK_MS = 1000;
const RECORDS_MAX = 100_000;
/** For one partition, whose server may be away. */
const LOOK_MS_MAX = 1000;
/** Of it for Postgres: while that is slow, the rest of the look must still count. */
const CURSOR_MS_MAX = 500;

export interface BacklogLimits {
  /** Journal records of one partition not yet archived, above which intake pauses. */
  backlogRecordsMax?: number | undefined;
  /** Bytes of one partition's journal in Redis, above which intake pauses. */
  backlogBytesMax?: number | undefined;
}

export class JournalGauge {
  readonly #context: SupervisorContext;
  readonly #recordsMax: number;
  readonly #bytesMax: number;
  #nextMs = 0;
  /** Newest archived record by partition, as last read. */
  readonly #archived = new Map<number, number>();

  constructor(context: SupervisorContext, limits: BacklogLimits) {
    this.#context = context;
    this.#recordsMax = limits.backlogRecordsMax ?? RECORDS_MAX;
    this.#bytesMax = limits.backlogBytesMax ?? BACKLOG_BYTES_SOFT;
  }

  /** As of a moment ago, if it was within its limits then. */
  async isBehind(): Promise<boolean> {
    const { clock, deployment, logger } = this.#context;
    if (clock.monotonicMs() < this.#nextMs) {
      return false;
    }
    const partitions = Array.from({ length: deployment.partitions }, (_, p) => p);
    // One of many servers that is away holds up nobody else's runs.
    const looks = partitions.map((p) => inTime(this.#backlog(p), LOOK_MS_MAX, 0));
    const sizes = partitions.map((p) => inTime(this.#bytes(p), LOOK_MS_MAX, 0));
    const records = Math.max(...(await Promise.all(looks)));
    const bytes = Math.max(...(await Promise.all(sizes)));
    if (records > this.#recordsMax || bytes > this.#bytesMax) {
      logger.warn({ records, bytes }, "intake pauses: the journal waits to be archived");
      return true;
    }
    this.#nextMs = clock.monotonicMs() + BACKLOG_LOOK_MS;
    return false;
  }

  #bytes(partition: number): Promise<number> {
    return backlogBytes(this.#context.redis, partitionKeys(partition));
  }

  /** Records not yet archived: the stream also has a tail of those that are. */
  async #backlog(partition: number): Promise<number> {
    const { redis, db } = this.#context;
    const [seq, cursor] = await Promise.all([
      redis.hget(partitionKeys(partition).meta, "seq"),
      // While Postgres is away, or slow, what was archived last is what is archived.
      inTime(
        readCursor(db, partition).catch(() => null),
        CURSOR_MS_MAX,
        null,
      ),
    ]);
    const archived = cursor?.seq ?? this.#archived.get(partition) ?? Infinity;
    this.#archived.set(partition, archived);
    return Math.max(0, Number(seq ?? 0) - archived);
  }
}
