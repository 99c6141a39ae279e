/**
 * Certifying a partition: nobody writes to a Redis that may have lost what Postgres has.
 *
 * A server that restarted, was promoted or was flushed has lost its scripts or the partition's
 * epoch; either stops every writer (sdk/redis/script-runner.ts). This service, run by whoever holds
 * the partition's role, looks for that twice a second. It compares the journal's tail with the
 * archive's cursor. If the chain goes on from the cursor, the scripts are loaded and work resumes.
 * If not, Redis was rolled back: Postgres wins, the epoch is raised, the partition is emptied and
 * its unfinished runs are put back from the archive before anything may write again.
 *
 * Of a server that restarted the epoch is raised before the two are compared. An archiver, here or
 * in a process that stood still, may hold records that it has read from the server as it was before
 * and would commit what Redis has lost after the comparison had found nothing wrong.
 *
 * The meta hash has no `epoch` from the first deletion to the last step, so a process that dies in
 * between leaves a partition that still refuses everything, and the next certification begins anew.
 * One that does not die, and has lost its role, goes on beside it: so who rebuilds a partition marks it
 * with the epoch of its rebuild (`rb`), and with another's mark there nothing is written any more
 * (guarded.ts).
 *
 * A rebuild may outlive the server on which it began: the replica that is promoted has what was written
 * up to some moment, and would take the rest. So writes are counted there and here (`rbw`): each is
 * carried out once, after those before it, and the partition is opened only where all of them are.
 * Nothing that begins, opens or raises an epoch is done twice, either: the client sends again what it
 * had no answer to, and by then the partition may have gone on.
 */
import { randomBytes } from "node:crypto";
import {
  certifiedSource,
  GavotteError,
  globalKeys,
  inTime,
  isOfCluster,
  partitionKeys,
  SCRIPTS,
  unlessForeign,
  writeAnyway,
  type PartitionKeys,
  type Redis,
  type ScriptName,
  type ScriptRunner,
} from "../sdk/internal.ts";
import { ensureCursor, fenceCursor, raiseEpoch, type Cursor } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { CountedWrites, writeOnce, writeWhile, type Write } from "./guarded.ts";
import { Loop } from "./loop.ts";
import { readRecord } from "./records.ts";

const POLL_MS = 500;
const DEPLOYMENT_MS = 1000;
const UNLINK_BATCH = 500;
/** A rebuild has fewer: so its count is never that of another one. */
const WRITES_MAX = 1_000_000_000;

export class Certifier extends Loop {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  readonly #keys: PartitionKeys;
  readonly #scripts: ScriptRunner;
  readonly #redis: Redis;
  #epoch: number | null = null;
  #busy: Promise<unknown> = Promise.resolve();

  constructor(context: SupervisorContext, partition: number) {
    super({
      name: `certify ${partition}`,
      logger: context.logger,
      step: async () => {
        await this.#alone(() => this.#check());
        return POLL_MS;
      },
    });
    this.#context = context;
    this.#partition = partition;
    this.#keys = partitionKeys(partition);
    this.#scripts = scriptsOf(context, partition);
    this.#redis = this.#scripts.redis;
  }

  /** The epoch under which this process last certified the partition, null before that. */
  get epoch(): number | null {
    return this.#epoch;
  }

  /**
   * The journal does not go on from the archive of `epoch`: raises the epoch and rebuilds the
   * partition. Nothing to do under another epoch: who read under one that is over may meet the
   * records of the next, and what was accepted since would be lost.
   */
  async rollBack(epoch: number, reason: string): Promise<void> {
    await this.#alone(async () => {
      const cursor = await ensureCursor(this.#context.db, this.#partition, newNonce());
      if (cursor.epoch === epoch) {
        this.#epoch = null;
        await this.#rebuild(cursor, reason);
      }
    });
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#busy.then(work);
    this.#busy = next.catch(() => undefined);
    return next;
  }

  async #check(): Promise<void> {
    // The epoch first: on a cluster, a command with a key finds the server that has the partition.
    const epoch = await this.#redis.hget(this.#keys.meta, "epoch");
    const shas = this.#scripts.shas(epoch ?? "");
    const loaded = (await this.#redis.script("EXISTS", ...shas)) as number[];
    const certified = this.#epoch !== null && epoch === String(this.#epoch);
    if (!certified || loaded.includes(0)) {
      await this.#certify(loaded.includes(0));
    }
  }

  async #certify(isRestarted: boolean): Promise<void> {
    const { db, deployment } = this.#context;
    const redis = this.#redis;
    this.#epoch = null;
    await this.#checkDeployment(isRestarted);
    const found = await ensureCursor(db, this.#partition, newNonce());
    const meta = await redis.hgetall(this.#keys.meta);
    const isFenced = isRestarted && Number(meta.epoch) === found.epoch;
    const cursor = isFenced ? await fenceCursor(db, this.#partition, found.epoch) : found;
    if (cursor === null) {
      return; // another supervisor did: the next poll meets its epoch
    }
    const epoch = isFenced ? String(cursor.epoch) : meta.epoch;
    const reason = await this.#objection(cursor, { ...meta, ...(epoch && { epoch }) });
    if (reason !== null) {
      await this.#rebuild(cursor, reason);
      return;
    }
    if (meta.epoch === undefined) {
      await this.#setFirst(cursor, meta.rb);
    } else if (isFenced) {
      const of = { key: this.#keys.meta, field: "epoch" };
      const raise = ["HSET", of.key, of.field, cursor.epoch];
      const [from, to] = [meta.epoch, String(cursor.epoch)];
      await writeOnce(redis, [raise], { ...of, value: from }, { ...of, value: to });
    }
    await this.#load(cursor.epoch);
    this.#epoch = cursor.epoch;
    const { partition, seq } = cursor;
    const at = { partition, epoch: cursor.epoch, seq, deployment: deployment.id };
    this.#context.logger.info(at, "certified");
  }

  /**
   * On a cluster it may lie on a server that is away. Then only what says itself that it is of this
   * deployment is certified - it has the scripts, whose text names it -, or all that is met, if the
   * deployment was looked at before: what belongs to somebody else would be emptied.
   */
  async #checkDeployment(isRestarted: boolean): Promise<void> {
    const isChecked = await checkedInTime(this.#context);
    if (!isChecked && isRestarted && !checked.has(this.#context)) {
      const message =
        "whose the servers are cannot be looked at: gv:deployment is on a server that is away";
      throw new GavotteError("GV_PARTITION_UNCERTIFIED", message);
    }
  }

  /** Why Redis does not go on from the cursor; null if it does, or if both are new. */
  async #objection(cursor: Cursor, meta: { [field: string]: string }): Promise<string | null> {
    const redis = this.#redis;
    const seq = Number(meta.seq);
    if (meta.epoch === undefined) {
      const fresh = cursor.seq === 0 && (await redis.exists(this.#keys.ev, this.#keys.meta)) === 0;
      return fresh ? null : "Redis has lost the partition";
    }
    if (Number(meta.epoch) !== cursor.epoch) {
      return `Redis has epoch ${meta.epoch}, Postgres ${cursor.epoch}`;
    }
    if (seq < cursor.seq) {
      return `Redis ends at record ${seq}, Postgres at ${cursor.seq}`;
    }
    if (seq === cursor.seq) {
      return meta.nonce === cursor.nonce ? null : `record ${seq} differs`;
    }
    const from = `(${cursor.streamId}`;
    const [next] = await redis.xrange(this.#keys.ev, from, "+", "COUNT", 1);
    const record = next === undefined ? null : readRecord(next[0], next[1]);
    const follows = record?.seq === cursor.seq + 1 && record.prev === cursor.nonce;
    return follows ? null : `no record follows ${cursor.seq} of Postgres`;
  }

  async #rebuild(before: Cursor, reason: string): Promise<void> {
    const { db, logger } = this.#context;
    const redis = this.#redis;
    const partition = this.#partition;
    const { meta } = this.#keys;
    // Before the epoch is raised: whoever raises it after has read the mark after.
    const mark = await redis.hget(meta, "rb");
    const cursor = await raiseEpoch(db, partition, before.epoch);
    if (cursor === null) {
      return; // another supervisor did: the next poll meets its epoch
    }
    logger.error({ partition, reason, epoch: cursor.epoch }, "Redis was rolled back; rebuilding");
    const from = cursor.epoch * WRITES_MAX;
    const begin = [
      ["HDEL", meta, "epoch"],
      ["HSET", meta, "rb", cursor.epoch, "rbw", from],
    ];
    const done = { key: meta, field: "rbw", value: String(from) };
    await writeOnce(redis, begin, { key: meta, field: "rb", value: mark ?? "" }, done);
    const count = { key: meta, field: "rbw", from, end: from + WRITES_MAX };
    const { write } = new CountedWrites(redis, count);
    await this.#empty(write);
    await write([["HSET", meta, "seq", cursor.seq, "nonce", cursor.nonce]]);
    await this.#context.onRollback({ partition, cursor, reason, write });
    await this.#load(cursor.epoch);
    await write([["HSET", meta, "epoch", cursor.epoch]]);
    this.#epoch = cursor.epoch;
    logger.warn({ partition, epoch: cursor.epoch }, "rebuilt and certified");
  }

  /** Of a partition that has nothing yet; what has begun there since is not taken back. */
  async #setFirst({ epoch, seq, nonce }: Cursor, rb = ""): Promise<void> {
    const { meta } = this.#keys;
    const write = writeWhile(this.#redis, { key: meta, field: "rb", value: rb });
    const fields = Object.entries({ epoch, seq, nonce });
    await write(fields.map(([field, value]) => ["HSETNX", meta, field, value]));
  }

  /** Removes every key of the partition. A scan is right here: nothing else can be trusted. */
  async #empty(write: Write): Promise<void> {
    while (await this.#emptyOnce(write)) {
      // Once more: of a slot that has moved meanwhile, a part may have been out of sight.
    }
  }

  /** Whether it has met anything that scripts have written. */
  async #emptyOnce(write: Write): Promise<boolean> {
    const redis = this.#redis;
    const match = this.#keys.pattern;
    let found = false;
    let at = "0";
    await redis.exists(this.#keys.meta); // has a key: goes to the server that has the partition
    do {
      const [next, keys] = await redis.scan(at, "MATCH", match, "COUNT", UNLINK_BATCH);
      const doomed = keys.filter((key) => key !== this.#keys.meta);
      if (doomed.length > 0) {
        found ||= await this.#isOfBefore(doomed);
        await write([["UNLINK", ...doomed]]);
      }
      at = next;
    } while (at !== "0");
    return found;
  }

  /**
   * Not so are the groups of queues and the size of the journal. Workers put those there without a
   * certificate, several times a second: on a server with so many keys, or so busy, that a look at all
   * takes longer, each look would meet them, and the partition would never be empty. What stands in
   * place of a queue, and is none, is not theirs.
   */
  async #isOfBefore(names: readonly string[]): Promise<boolean> {
    const { queues, backlog } = this.#keys;
    const streams = names.filter((key) => key.startsWith(queues));
    if (names.some((key) => key !== backlog && !key.startsWith(queues))) {
      return true;
    }
    const lengths = await Promise.all(
      streams.map((key) => unlessForeign(this.#redis.xlen(key), 1)),
    );
    return lengths.some((length) => length > 0);
  }

  async #load(epoch: number): Promise<void> {
    const { id } = this.#context.deployment;
    for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
      await this.#redis.script("LOAD", certifiedSource(name, id, this.#partition, epoch));
    }
  }
}

/** Of these processes' parts is known that Redis belongs to their deployment. */
const checked = new WeakSet<SupervisorContext>();

/** As checkDeployment; false: on a cluster, the server that knows does not answer in time. */
export async function checkedInTime(context: SupervisorContext): Promise<boolean> {
  const check = checkDeployment(context).then(() => true);
  return isOfCluster(context.redis) ? inTime(check, DEPLOYMENT_MS, false) : check;
}

/** Redis must belong to the deployment of this database; an empty one is taken. */
async function checkDeployment(context: SupervisorContext): Promise<void> {
  const { redis, deployment } = context;
  const key = globalKeys.deployment;
  let found = await redis.hgetall(key);
  if (found.id === undefined) {
    await writeAnyway(redis, [["HSETNX", key, "id", deployment.id]]);
    found = await redis.hgetall(key);
  }
  if (found.id !== deployment.id) {
    throw new GavotteError(
      "GV_PARTITION_MISMATCH",
      `this Redis belongs to deployment ${found.id}, the database to ${deployment.id}; ` +
        "use the pair that belongs together, or an empty Redis",
    );
  }
  const facts = { partitions: deployment.partitions, layout: deployment.layout };
  await writeAnyway(redis, [["HSET", key, ...Object.entries(facts).flat()]]);
  checked.add(context);
}

function newNonce(): string {
  return randomBytes(6).toString("base64url");
}
