/**
 * KEYS and the packed batch of one call of complete_tokens.
 *
 * Items of one run stand together, in their order, the short forms of neighbours as one group: the
 * script reads and writes a run once per group. Runs are independent of each other, so their order
 * in the batch is free. The batch is one MessagePack argument: neither Redis nor the client has to
 * take a thousand small ones apart. What the journal is told is beside it: in the batch it would become
 * a string of Lua three times, at the cost of its length each.
 */
import type { PartitionKeys } from "../keys.ts";
import type { RunProfile } from "../profile.ts";
import { unitsAround } from "../unit.ts";
import { waitFacts } from "../waits.ts";
import type { CompletionItem, CompletionResult } from "./complete-tokens.ts";
import { packBatch } from "./pack-batch.ts";
import type { ScriptRunner } from "./script-runner.ts";
import { joinsOf, simpleItem, type SimpleItem } from "./simple-completion.ts";

export interface EncodedBatch {
  keys: string[];
  /** The batch, and the journal's text of its short forms. */
  args: [batch: Buffer, text: string];
  /** For each reply, in order: which item it is of. */
  order: number[];
}

/** One group's fields are read in one call: bounded, as the script's stack is. */
const GROUP_MAX = 256;
/** Forms of a step; those of a group are their size, the general form is 0. */
const STEP = -1;
const KEPT = -2;
const LAST = -3;
/** So far below them is the form with more to write. */
const WIDE = 3;
/** Stands between two transitions of the journal. */
const BETWEEN = ",\n";
const SEPARATOR = "\x1f";
/** Record of a token on its first attempt. */
const FRESH = "a1||";

/** `simple`: in the short form what has one. */
export function encodeCompletion(
  scripts: ScriptRunner,
  items: readonly CompletionItem[],
  simple: boolean,
): EncodedBatch {
  const batch = new Batch(scripts.keys, items);
  const byRun = new Map<string, number[]>();
  items.forEach(({ runId }, i) => {
    const places = byRun.get(runId);
    if (places === undefined) {
      byRun.set(runId, [i]);
    } else {
      places.push(i);
    }
  });
  const order: number[] = [];
  for (const places of byRun.values()) {
    let group: SimpleItem[] = [];
    for (const i of places) {
      order.push(i);
      const item = items[i] as CompletionItem;
      const short = simple ? simpleItem(item) : null;
      const isShort = short !== null && batch.takes(short);
      if (isShort && fits(group, short)) {
        group.push(short);
        continue;
      }
      batch.group(group);
      group = isShort ? [short] : [];
      if (!isShort) {
        batch.general(item);
      }
    }
    batch.group(group);
  }
  return { keys: batch.keys, args: [packBatch(batch.args), batch.text], order };
}

/** Whether an item may be settled with those before it: their tokens are all different. */
function fits(group: readonly SimpleItem[], { item, field, keeps }: SimpleItem): boolean {
  const first = group[0]?.item;
  return (
    first === undefined ||
    (!keeps &&
      group[0]?.keeps === false &&
      first.profile === item.profile &&
      first.epoch === item.epoch &&
      group.length < GROUP_MAX &&
      group.every((other) => other.field !== field))
  );
}

class Batch {
  readonly keys: string[];
  readonly args: (string | number)[] = [];
  /** The journal's text of the short forms. */
  readonly #texts: string[] = [];
  readonly #k: PartitionKeys;
  readonly #runs = new Map<string, number>();
  readonly #bases = new Map<RunProfile, number>();
  readonly #profiles = new Map<RunProfile, number>();
  /** Signals' hashes and streams of entry nodes. */
  readonly #others = new Map<string, number>();
  /** Takeovers known when the last of the kept entries was read. */
  readonly #seen: number;

  constructor(k: PartitionKeys, items: readonly CompletionItem[]) {
    this.#k = k;
    this.keys = [k.ev, k.meta, k.timers, k.halted, k.release];
    for (const { runId } of items) {
      if (!this.#runs.has(runId)) {
        this.#declare(runId);
      }
    }
    const kept = items.filter((item) => item.keeps === true);
    this.#seen = Math.max(-1, ...kept.map(({ takeovers }) => takeovers ?? -1));
    this.args.push(this.#seen, 0);
    for (const { profile } of items) {
      if (!this.#bases.has(profile)) {
        this.#profiles.set(profile, this.#profiles.size + 1);
        this.#bases.set(profile, this.keys.length + 1);
        this.keys.push(...profile.queueKeys);
        this.args.push(profile.irHash, profile.flags, this.#bases.get(profile) as number);
      }
    }
    this.args[1] = this.#profiles.size;
  }

  /** The journal's text of the short forms: a record of its own, if all of them are accepted. */
  get text(): string {
    return `[${this.#texts.join(BETWEEN)}]`;
  }

  /** Adds transitions to the journal's text: their bytes there. */
  #tell(text: string): number {
    this.#texts.push(text);
    return Buffer.byteLength(text);
  }

  /** Adds the unit's key and, for an element, those of what is around it up to its run. */
  #declare(unit: string): void {
    for (const name of unit.includes("!") ? unitsAround(unit) : [unit]) {
      if (!this.#runs.has(name)) {
        this.#runs.set(name, this.keys.push(this.#k.run(name)));
      }
    }
  }

  #place(key: string): number {
    const known = this.#others.get(key) ?? this.keys.push(key);
    this.#others.set(key, known);
    return known;
  }

  #stream({ profile, queue, entryKey }: CompletionItem): number {
    return entryKey === undefined
      ? (this.#bases.get(profile) as number) + queue
      : this.#place(entryKey);
  }

  /** Whether an item has a short form in this batch. */
  takes({ item, step, keeps }: SimpleItem): boolean {
    return !keeps || (step !== null && this.#seen >= 0 && item.takeovers === this.#seen);
  }

  /** Items of one run in their short form. */
  group(group: readonly SimpleItem[]): void {
    const first = group[0];
    if (group.length === 1 && first !== undefined && first.step !== null) {
      this.#step(first, first.step);
      this.#extras(first);
    } else if (group.length === 1 && first !== undefined && first.end !== null) {
      this.#last(first, first.end);
      this.#extras(first);
    } else if (first !== undefined) {
      this.#group(first.item, group);
    }
  }

  #form(form: number, { extras }: SimpleItem): number {
    return extras.length > 0 ? form - WIDE : form;
  }

  #extras({ extras }: SimpleItem): void {
    if (extras.length > 0) {
      this.args.push(extras.length, ...extras);
    }
  }

  #step(simple: SimpleItem, { to, input }: NonNullable<SimpleItem["step"]>): void {
    const { item, keeps, field, record, text } = simple;
    const { runId, epoch, profile, entryId } = item;
    const key = this.#runs.get(runId) as number;
    const bytes = this.#tell(text);
    const form = this.#form(keeps ? KEPT : STEP, simple);
    this.args.push(form, key, epoch, bytes, field, record, to.field);
    if (!keeps) {
      const queue = (this.#bases.get(profile) as number) + to.queue;
      const entry = runId + SEPARATOR + epoch + to.middle + input;
      this.args.push(queue, entry, this.#stream(item), entryId ?? "");
    }
  }

  #last(simple: SimpleItem, end: string): void {
    const { item, field, record, text } = simple;
    const { runId, epoch, profile, entryId } = item;
    const bytes = [this.#tell(text), this.#tell(end)];
    const isTimed = profile.flags.includes("t") ? 1 : 0;
    const form = this.#form(LAST, simple);
    this.args.push(form, this.#runs.get(runId) as number, epoch, ...bytes, isTimed, field, record);
    this.args.push(this.#stream(item), entryId ?? "");
  }

  #group({ profile, runId, epoch }: CompletionItem, group: readonly SimpleItem[]): void {
    const base = this.#bases.get(profile) as number;
    const head = runId + SEPARATOR + epoch;
    const writes: string[] = [];
    const emits: (string | number)[] = [];
    let delta = 0;
    for (const simple of group) {
      writes.push(simple.field, simple.record, ...simple.extras);
      delta += simple.delta;
      for (const { on, value } of simple.effects) {
        for (const { field, queue, middle } of on.activations) {
          writes.push(field, FRESH);
          emits.push(base + queue, head + middle + value);
        }
      }
    }
    const bytes = this.#tell(group.map(({ text }) => text).join(BETWEEN));
    const queue = base + (group.at(-1) as SimpleItem).item.queue;
    const key = this.#runs.get(runId) as number;
    const profilePlace = this.#profiles.get(profile) as number;
    const joins = joinsOf(group);
    const reads = [...group.map(({ field }) => field), ...joins.map(({ node }) => `j${node}`)];
    this.args.push(group.length, key, profilePlace, epoch, bytes, delta, queue);
    this.args.push(reads.length, ...reads);
    group.forEach(({ item }) => this.args.push(this.#stream(item), item.entryId ?? ""));
    this.args.push(writes.length, ...writes, emits.length / 2, ...emits);
    this.args.push(joins.length);
    for (const { node, queue, arity, live, arrived, stretches } of joins) {
      this.args.push(
        String(node),
        queue,
        arity,
        live,
        arrived,
        stretches.length,
        ...stretches.flat(),
      );
    }
  }

  /** Any item. */
  general(item: CompletionItem): void {
    const { profile, queue, runId } = item;
    const key = this.#runs.get(runId) as number;
    const entry = item.keeps === true ? `+${item.entryId ?? ""}` : (item.entryId ?? "");
    this.args.push(0, runId.includes("!") ? -key : key, runId, item.epoch);
    this.args.push(this.#profiles.get(profile) as number, queue, this.#stream(item), entry);
    this.args.push(item.results.length);
    item.results.forEach((result) => this.#result(runId, result));
  }

  #result(runId: string, r: CompletionResult): void {
    const { plain, args: others, closure } = r.plan;
    const op = r.gathered === true ? r.op.toLowerCase() : r.op;
    this.args.push(r.node, r.scope, r.attempt, op + r.edges);
    if (r.wait === undefined) {
      const rest = r.op === "R" || r.op === "P" || r.op === "A" ? r.delayMs : closure;
      this.args.push(r.value, r.extra, rest);
    } else {
      const signals = this.#k.signals(runId.split("!", 1)[0] as string);
      const place = r.wait.signal === undefined ? 0 : this.#place(signals);
      const facts = `${r.delayMs}\x1f${place}\x1f${waitFacts(r.wait)}`;
      this.args.push(JSON.stringify(r.wait), r.extra, facts);
    }
    this.args.push(plain.length / 2, ...plain, others.length / 8, ...others);
  }
}
