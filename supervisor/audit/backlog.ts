/**
 * What stands in a partition's stream behind the archive's cursor, by run: for all the runs that one
 * look audits. Read once, and from there on only what was added since; each transition is taken apart
 * for its own run only.
 */
import type { Redis } from "ioredis";
import { partitionKeys, type Transition } from "../../sdk/internal.ts";
import type { Cursor } from "../../sdk/postgres/index.ts";
import { readRecord, splitTransitions, type RawRecord } from "../records.ts";

/** Records may be large: a page is what one read may bring too much. */
const PAGE = 32;
/** Of what is kept. An archive that is further behind has other troubles than a run that is off. */
const CHARS_MAX = 32 * 1024 * 1024;

/** A record: what it says of each run, as texts. */
interface Kept {
  seq: number;
  t: number;
  chars: number;
  texts: Map<string, string[]>;
}

/** What a record says of one run. */
export interface Told {
  t: number;
  transitions: Transition[];
}

export class Backlog {
  readonly #redis: Redis;
  readonly #partition: number;
  readonly #charsMax: number;
  /** Behind record `#from.seq`, without a gap, up to `#to`. */
  #kept: Kept[] = [];
  #chars = 0;
  #from: Cursor | null = null;
  #to: Pick<Cursor, "seq" | "nonce" | "streamId"> = { seq: 0, nonce: "", streamId: "" };
  #turn: Promise<unknown> = Promise.resolve();

  constructor(redis: Redis, partition: number, charsMax = CHARS_MAX) {
    this.#redis = redis;
    this.#partition = partition;
    this.#charsMax = charsMax;
  }

  /**
   * What records behind `cursor` and up to `seq` say of a run. Null: they are not all there, or they are
   * too much. Runs may be asked for at the same time: one after the other reads what is still missing.
   */
  async of(runId: string, cursor: Cursor, seq: number): Promise<Told[] | null> {
    const read = this.#turn.then(() => this.#readTo(cursor, seq));
    this.#turn = read.catch(() => undefined);
    if (!(await read)) {
      return null;
    }
    const wanted = this.#kept.filter((one) => one.seq > cursor.seq && one.seq <= seq);
    return wanted.flatMap(({ t, texts }) => {
      const own = texts.get(runId)?.map((text) => JSON.parse(text) as Transition);
      return own === undefined ? [] : [{ t, transitions: own }];
    });
  }

  /** Whether everything behind the cursor and up to `seq` is here now. */
  async #readTo(cursor: Cursor, seq: number): Promise<boolean> {
    const from = this.#from;
    const isKnown =
      from?.epoch === cursor.epoch && from.seq <= cursor.seq && cursor.seq <= this.#to.seq;
    if (!isKnown) {
      this.#from = cursor;
      this.#to = cursor;
      this.#kept = [];
      this.#chars = 0;
    }
    while (this.#to.seq < seq) {
      if (this.#chars >= this.#charsMax && !this.#dropArchived(cursor)) {
        return false;
      }
      if (!(await this.#readPage())) {
        return false;
      }
    }
    return true;
  }

  /** Makes room, if there is any to be made. */
  #dropArchived(cursor: Cursor): boolean {
    this.#from = cursor;
    this.#kept = this.#kept.filter((one) => one.seq > cursor.seq);
    this.#chars = this.#kept.reduce((sum, { chars }) => sum + chars, 0);
    return this.#chars < this.#charsMax;
  }

  /** False: what comes next is not there. */
  async #readPage(): Promise<boolean> {
    const { ev } = partitionKeys(this.#partition);
    const entries = await this.#redis.xrange(ev, `(${this.#to.streamId}`, "+", "COUNT", PAGE);
    for (const [id, fields] of entries) {
      const record = readRecord(id, fields);
      if (record?.seq !== this.#to.seq + 1 || record.prev !== this.#to.nonce) {
        return false;
      }
      this.#keep(record);
    }
    return entries.length > 0;
  }

  #keep({ seq, t, nonce, streamId, body }: RawRecord): void {
    const texts = new Map<string, string[]>();
    for (const { runId, text } of splitTransitions(body)) {
      const own = texts.get(runId) ?? [];
      texts.set(runId, own);
      own.push(text);
    }
    this.#kept.push({ seq, t, chars: body.length, texts });
    this.#chars += body.length;
    this.#to = { seq, nonce, streamId };
  }
}
