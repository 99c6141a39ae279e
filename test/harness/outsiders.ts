/**
 * Everybody outside of the engine who has a say in a run: those who send signals (early, twice, to a
 * wait that is over), answer callbacks, decide approvals, settle nodes by hand, cancel, and a clock
 * that goes on although there is work to do. What they do, and when, is drawn from the seed.
 */
import type { Ir } from "../../compiler/ir.ts";
import {
  callbackWait,
  cancelOrphans,
  cancelRun,
  decideApproval,
  fireTimers,
  interveneToken,
  irAt,
  parseJournalRecord,
  parseRecord,
  parseUnit,
  parseWaitToken,
  readWait,
  redisTimeMs,
  signalNames,
  signalRun,
  unitOf,
  type ManualAnswer,
  type RunProfile,
  type Transition,
  type WaitAddress,
  type WaitInfo,
} from "../../sdk/internal.ts";
import { BIG_TEXT } from "../generate/waits.ts";
import type { TestPartition } from "./partition.ts";

/** Probabilities per step. */
export interface Chances {
  answer: number;
  /** Somebody settles a token by hand. */
  manual: number;
  cancel: number;
  /** The same, while the elements of a map have ended and its results are not collected. */
  cancelGathered?: number;
  /** The clock goes on to the next timer although tokens are ready. */
  hurry: number;
}

export interface OutsiderOptions {
  partition: TestPartition;
  /** Of the root and of what may become its children, by IR hash. */
  profiles: ReadonlyMap<string, RunProfile>;
  random: () => number;
  chances: Chances;
  /** What people may order by hand. */
  actions: readonly ManualAnswer["action"][];
  /** Whether they settle maps, too, whose elements are then void. */
  maps: boolean;
}

interface Seen {
  at: WaitAddress;
  wait: WaitInfo;
}

const ACTORS = ["ann", "bob", "eve"];
const FINAL = new Set(["run.completed", "run.failed", "run.cancelled"]);

export class Outsiders {
  readonly #o: OutsiderOptions;
  /** IR hash of every run that has begun. */
  readonly #runs = new Map<string, string>();
  readonly #open = new Set<string>();
  readonly #waits: Seen[] = [];
  /** Maps whose results nobody has collected yet: run, home, scope, node. */
  readonly #gathered = new Set<string>();
  /** Ids of signals sent, by run. */
  readonly #sent: { runId: string; id: string; name: string }[] = [];
  #next = 0;
  #read = "-";

  constructor(options: OutsiderOptions) {
    this.#o = options;
  }

  /** IR hash of every run that the journal knows. */
  get runs(): ReadonlyMap<string, string> {
    return this.#runs;
  }

  /**
   * Perhaps somebody does something. `isIdle`: nothing else can move the run on, so somebody answers
   * a wait that is open; false if there is none.
   */
  async act(isIdle: boolean): Promise<boolean> {
    await this.#follow();
    const { chances, random } = this.#o;
    if (isIdle) {
      return (await this.#answerOpen()) || (await this.orphans()) > 0;
    }
    if (random() < chances.answer) {
      await this.#answer();
    }
    if (random() < chances.manual) {
      await this.#byHand();
    }
    const { cancel, cancelGathered = cancel } = chances;
    const isCut = random() < (this.#gathered.size > 0 ? cancelGathered : cancel);
    if (isCut && this.#open.size > 0) {
      await cancelRun(this.#o.partition.scripts, this.#pick([...this.#open]), "somebody says so");
    }
    if (random() < chances.hurry) {
      await this.#hurry();
    }
    if (random() < 0.1) {
      await this.orphans();
    }
    return true;
  }

  /** What the supervisor does about children whose root is over; how many were cancelled. */
  async orphans(): Promise<number> {
    await this.#follow();
    const children = [...this.#open].filter((id) => id.includes("~"));
    const isParentOver = (id: string): boolean => !this.#open.has(id.split("~", 1)[0] as string);
    if (children.length === 0) {
      return 0;
    }
    const told = children.map((id) => ({ id, isParentOver: isParentOver(id) }));
    return (await cancelOrphans(this.#o.partition.scripts, told)).cancelled;
  }

  /** Takes in what the journal has got since. */
  async #follow(): Promise<void> {
    const { redis, scripts } = this.#o.partition;
    for (const [id, fields] of await redis.xrange(scripts.keys.ev, this.#read, "+")) {
      this.#read = `(${id}`;
      for (const t of parseJournalRecord(id, fields).transitions) {
        if (t.e === "run.started") {
          const hash = await redis.hget(scripts.keys.run(t.r), "ir");
          this.#runs.set(t.r, hash ?? "");
          this.#open.add(t.r);
        } else if (FINAL.has(t.e)) {
          this.#open.delete(t.r);
        } else if (t.e === "node.parked" && typeof t.w === "object" && t.w.token !== undefined) {
          this.#waits.push({ at: parseWaitToken(t.w.token) as WaitAddress, wait: t.w });
        }
        this.#followMap(t);
      }
    }
  }

  #followMap({ e, r, m = "", s = "", n = -1 }: Transition): void {
    const map = [r, m, s, n].join("|");
    if (e === "map.gather") {
      this.#gathered.add(map);
    } else if (e === "node.completed" || e === "node.failed") {
      this.#gathered.delete(map);
    }
  }

  #data(): { count: number; text?: string } {
    const count = Math.floor(this.#o.random() * 5);
    return this.#o.random() < 0.1 ? { count, text: BIG_TEXT } : { count };
  }

  async #answer(): Promise<void> {
    const { random } = this.#o;
    if (random() < 0.4 || this.#waits.length === 0) {
      await this.#signal();
    } else {
      await this.#answerOne(this.#pick(this.#waits));
    }
  }

  /** One of the waits that are open now. */
  async #answerOpen(): Promise<boolean> {
    const { scripts } = this.#o.partition;
    const open: Seen[] = [];
    for (const seen of this.#waits) {
      if ((await readWait(scripts, seen.at)) !== null) {
        open.push(seen);
      }
    }
    if (open.length > 0) {
      await this.#answerOne(this.#pick(open));
    }
    return open.length > 0;
  }

  /** By its own address; used once, repeated, or used when the wait is over. */
  async #answerOne({ at, wait }: Seen): Promise<void> {
    const { random, partition } = this.#o;
    if (wait.kind === "approval") {
      const decision = { actor: this.#pick(ACTORS), approved: random() < 0.8, data: null };
      await decideApproval(partition.scripts, at, decision);
      return;
    }
    const call = { id: `call-${this.#next++}`, data: this.#data() };
    const outcome = await callbackWait(partition.scripts, at, call);
    if (random() < 0.3) {
      const again = await callbackWait(partition.scripts, at, call);
      if (outcome === "done" && !["repeated", "over", "ended", "gone"].includes(again)) {
        throw new Error(`a repeated callback was ${again}`);
      }
    }
  }

  async #signal(): Promise<void> {
    const { random, partition, profiles } = this.#o;
    const old = random() < 0.2 && this.#sent.length > 0 ? this.#pick(this.#sent) : null;
    const runId = old?.runId ?? this.#pick([...this.#runs.keys()]);
    const names = signalNames(profiles.get(this.#runs.get(runId) ?? "")?.ir as Ir);
    if (names.length === 0) {
      return; // a client refuses a name that the workflow does not wait for
    }
    const { id, name } = old ?? { id: `signal-${this.#next++}`, name: this.#pick(names) };
    const outcome = await signalRun(partition.scripts, { runId, id, name, data: this.#data() });
    if (old !== null && ["delivered", "kept"].includes(outcome)) {
      throw new Error(`signal ${id} was accepted twice`);
    } else if (["delivered", "kept"].includes(outcome)) {
      this.#sent.push({ runId, id, name });
    }
  }

  /** Settles whatever token of whatever unit is not settled. */
  async #byHand(): Promise<void> {
    const { partition, profiles, actions, maps } = this.#o;
    const { redis, scripts } = partition;
    if (this.#open.size === 0 || actions.length === 0) {
      return;
    }
    const runId = this.#pick([...this.#open]);
    const { home } = parseUnit(this.#pick(await this.#units(runId)));
    const profile = profiles.get(this.#runs.get(runId) ?? "") as RunProfile;
    const ir = irAt(profile.ir, home) as Ir;
    const tokens = Object.entries(await redis.hgetall(scripts.keys.run(unitOf(runId, home))));
    const inOrder = tokens.sort(([a], [b]) => a.localeCompare(b)); // that of a hash is its server's
    const active = inOrder.flatMap(([field, text]) => {
      const record = /^n\d+$/.test(field) ? parseRecord(text) : null;
      const node = Number(field.slice(1));
      const isMap = ir.nodes[node]?.body !== undefined;
      return record !== null && "arwm".includes(record.state) && (maps || !isMap) ? [node] : [];
    });
    if (active.length === 0) {
      return;
    }
    const running = active.filter((index) => ir.nodes[index]?.body !== undefined);
    const node = this.#pick(running.length > 0 && this.#o.random() < 0.5 ? running : active);
    const action = this.#pick(actions);
    const output = action === "complete" ? { output: this.#data() } : {};
    const answer: ManualAnswer = { kind: "manual", action, ...output, by: "ann" };
    const queue = ir.queues[ir.nodes[node]?.queue ?? 0] as string;
    const queueKey = scripts.keys.queue(profile.namespace + queue, profile.priority);
    await interveneToken(scripts, { runId, home, node, scope: null, queueKey, answer });
  }

  /** The run and the elements of its maps. */
  async #units(runId: string): Promise<string[]> {
    const { redis, scripts } = this.#o.partition;
    const units = [runId];
    for (const map of (await redis.smembers(scripts.keys.maps(runId))).sort()) {
      const next = Number((await redis.hget(scripts.keys.run(map), "next")) ?? 0);
      units.push(...Array.from({ length: next }, (_, i) => `${map}#${i}`));
    }
    return units;
  }

  async #hurry(): Promise<void> {
    const { partition } = this.#o;
    const { nextMs } = await fireTimers(partition.scripts);
    if (nextMs !== null) {
      await partition.advance(nextMs - (await redisTimeMs(partition.scripts)) + 1);
      await fireTimers(partition.scripts);
    }
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#o.random() * from.length)] as T;
  }
}
