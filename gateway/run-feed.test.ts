import { describe, expect, it } from "vitest";
import type { Ir } from "../compiler/ir.ts";
import { compile } from "../compiler/index.ts";
import type { Transition } from "../sdk/internal.ts";
import type { Placed } from "./history.ts";
import type { FeedMessage } from "./messages.ts";
import { RunFeed, type Place, type Watcher } from "./run-feed.ts";

const echo = { function_name: "builtin.echo" };
const document = {
  name: "two",
  nodes: [
    { id: "a", type: "function", config: echo },
    { id: "b", type: "function", config: echo },
  ],
  edges: [{ from: "a", to: "b" }],
};
const ir = compile({ document }).ir as Ir;

const step = (seq: number, e: Transition["e"], more: Partial<Transition> = {}): Placed => ({
  position: `${seq}.0`,
  tMs: seq,
  transition: { r: "r", e, ...more },
});
const journal = [
  step(1, "run.started"),
  step(3, "node.retrying", { n: 0, a: 1 }),
  step(4, "node.completed", { n: 0, a: 2, x: "L", o: 1 }),
  step(7, "node.completed", { n: 1, a: 1, x: "", o: 2 }),
  step(8, "run.completed"),
];

interface Heard extends Watcher {
  texts: { type: string; position: string; status?: string }[];
}

function listener(): Heard {
  const texts: Heard["texts"] = [];
  const hear = (text: string): void => void texts.push(JSON.parse(text) as Heard["texts"][number]);
  return { texts, take: (message: FeedMessage) => hear(message.text), tell: hear };
}

/** All of this position was heard. */
const whole = (position: string): Place => ({ position, heard: Infinity });

const ARCHIVED = (): Promise<number> => Promise.resolve(8);
/** What is archived has been told. */
const told = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

async function feedWith(history: readonly Placed[], archived = ARCHIVED): Promise<RunFeed> {
  const feed = new RunFeed("r", ir, archived);
  await feed.load(() => Promise.resolve([...history]));
  await told();
  return feed;
}

/** What somebody hears who is there from the beginning to the end. */
async function everything(): Promise<Heard["texts"]> {
  const feed = await feedWith([]);
  const all = listener();
  feed.watch(all);
  journal.forEach((placed) => feed.take(placed));
  await told();
  return all.texts.slice(1);
}

describe("resuming", () => {
  it.each(["5.0", "3.1", "9.0"])(
    "after %s, which no transition has, is a snapshot",
    async (from) => {
      const feed = await feedWith(journal);
      const heard = listener();
      await feed.resume(heard, whole(from), () => Promise.resolve(journal));
      expect(heard.texts.map(({ type }) => type)).toEqual(["snapshot", "end"]);
    },
  );

  it("misses nothing that happens while the history is read, and hears nothing twice", async () => {
    const all = await everything();
    // Whatever was known at first, had come when the history was read, and came while it was read.
    for (let known = 0; known <= journal.length; known++) {
      for (let read = known; read <= journal.length; read++) {
        for (const after of ["0.-1", "1.0", "3.0", "4.0", "7.0"]) {
          const feed = await feedWith(journal.slice(0, known));
          const late = listener();
          await feed.resume(late, whole(after), () => {
            const history = journal.slice(0, read);
            journal.slice(known).forEach((placed) => feed.take(placed));
            return Promise.resolve(history);
          });
          await told();
          const wanted = all.filter(({ position }) => Number.parseInt(position, 10) > parse(after));
          expect(late.texts, `${known} ${read} ${after}`).toEqual(wanted);
        }
      }
    }
  });

  it("in the middle of a transition's messages goes on with the next of them", async () => {
    const all = await everything();
    for (const live of [true, false]) {
      for (const position of ["4.0", "8.0"]) {
        const feed = await feedWith(live ? journal.slice(0, 2) : journal);
        const late = listener();
        await feed.resume(late, { position, heard: 1 }, () => {
          journal.forEach((placed) => feed.take(placed));
          return Promise.resolve(live ? journal.slice(0, 2) : journal);
        });
        await told();
        const from = all.findIndex((text) => text.position === position);
        expect(late.texts, `${live} ${position}`).toEqual(all.slice(from + 1));
      }
    }
  });

  it("at the last position of a run that has ended tells that it has ended", async () => {
    const feed = await feedWith(journal);
    const late = listener();
    await feed.resume(late, whole("8.0"), () => Promise.resolve(journal));
    expect(late.texts).toMatchObject([{ type: "end", status: "COMPLETED", position: "8.0" }]);
  });

  it("at a position that the journal does not have begins with a snapshot", async () => {
    const feed = await feedWith(journal.slice(0, 2));
    const late = listener();
    await feed.resume(late, whole("6.0"), () => Promise.resolve(journal.slice(0, 2)));
    expect(late.texts).toMatchObject([{ type: "snapshot", position: "3.0" }]);
    feed.take(journal[2] as Placed);
    expect(late.texts[1]).toMatchObject({ type: "status_update", position: "4.0" });
  });

  it("where another gateway was ahead of this one repeats nothing", async () => {
    const feed = await feedWith(journal.slice(0, 1));
    const late = listener();
    await feed.resume(late, whole("4.0"), () => Promise.resolve(journal.slice(0, 3)));
    expect(late.texts).toEqual([]);
    journal.forEach((placed) => feed.take(placed));
    await told();
    expect(late.texts.map(({ position }) => position)).toEqual(["7.0", "8.0", "8.0"]);
  });

  it("while the journal is read anew begins with a snapshot", async () => {
    const feed = await feedWith(journal.slice(0, 3));
    const late = listener();
    await feed.resume(late, whole("1.0"), async () => {
      await feed.load(() => Promise.resolve(journal.slice(0, 2)));
      return journal.slice(0, 2);
    });
    expect(late.texts).toMatchObject([{ type: "snapshot", position: "3.0" }]);
  });
});

describe("the end", () => {
  const types = ({ texts }: Heard): string[] => texts.map(({ type }) => type);

  it("is told when it is archived, to who is there then, and at once to who comes later", async () => {
    let archive = (_atMs: number): void => undefined;
    const feed = await feedWith([], () => new Promise((resolve) => (archive = resolve)));
    const [one, two, three] = [listener(), listener(), listener()];
    feed.watch(one);
    journal.forEach((placed) => feed.take(placed));
    feed.watch(two);
    await feed.resume(three, whole("8.0"), () => Promise.resolve(journal));
    await told();
    expect([types(one).at(-1), types(two), types(three)]).toEqual([
      "status_update",
      ["snapshot"],
      [],
    ]);
    archive(8);
    await told();
    expect([types(one).at(-1), types(two), types(three)]).toEqual([
      "end",
      ["snapshot", "end"],
      ["end"],
    ]);
    const late = listener();
    feed.watch(late);
    expect(types(late)).toEqual(["snapshot", "end"]);
  });

  it("that Redis has lost before it was archived is not told", async () => {
    let archive = (_atMs: number): void => undefined;
    const feed = await feedWith([], () => new Promise((resolve) => (archive = resolve)));
    const one = listener();
    feed.watch(one);
    journal.forEach((placed) => feed.take(placed));
    const lost = archive;
    await feed.load(() => Promise.resolve(journal.slice(0, 2)));
    lost(8);
    await told();
    expect(types(one)).not.toContain("end");
    expect(one.texts.at(-1)).toMatchObject({ type: "snapshot", position: "3.0" });
  });

  it("that Redis has lost is not told for another that is archived", async () => {
    const later = (): Promise<number> => new Promise((at) => setImmediate(() => at(108)));
    const feed = await feedWith([], later);
    const one = listener();
    feed.watch(one);
    journal.forEach((placed) => feed.take(placed));
    await told();
    expect(types(one)).not.toContain("end");
    const replaced = journal.map((placed) => ({ ...placed, tMs: placed.tMs + 100 }));
    await feed.load(() => Promise.resolve(replaced));
    await told();
    await told();
    expect(types(one).slice(-2)).toEqual(["snapshot", "end"]);
  });

  it("is told though the redrive before it is archived late", async () => {
    const asked: ((atMs: number) => void)[] = [];
    const feed = await feedWith([], () => new Promise((archived) => asked.push(archived)));
    const one = listener();
    feed.watch(one);
    const again = [step(9, "run.redriven", { v: {} as never }), step(12, "run.completed")];
    [...journal.slice(0, 3), step(8, "run.failed"), ...again].forEach((placed) =>
      feed.take(placed),
    );
    const ends = async (atMs: number): Promise<string[]> => {
      asked.splice(0).forEach((archived) => archived(atMs));
      await told();
      return one.texts.filter(({ type }) => type === "end").map(({ position }) => position);
    };
    expect(await ends(8)).toEqual(["8.0"]);
    expect(await ends(8)).toEqual(["8.0"]);
    expect(await ends(12)).toEqual(["8.0", "12.0"]);
  });

  it("is told to who had a snapshot of it, lost the gateway, and comes back after a redrive", async () => {
    const failed = [...journal.slice(0, 3), step(8, "run.failed")];
    const again = [...failed, step(9, "run.redriven", { v: {} as never })];
    const late = listener();
    await (await feedWith(again)).resume(late, whole("8.0"), () => Promise.resolve(again));
    expect(types(late)).toEqual(["end", "status_update"]);
  });

  it("of an attempt before the last is told where it was", async () => {
    const again = [
      ...[...journal.slice(0, 3), step(7, "node.failed", { n: 1, a: 1 }), step(8, "run.failed")],
      step(9, "run.redriven", { v: {} as never }),
    ];
    const feed = await feedWith(again);
    const late = listener();
    await feed.resume(late, whole("7.0"), () => Promise.resolve(again));
    expect(types(late)).toEqual(["status_update", "end", "status_update"]);
    expect(late.texts.at(-1)).toMatchObject({ position: "9.0" });
  });

  it("is told before the run lives again", async () => {
    const feed = await feedWith([], () => new Promise(() => undefined));
    const one = listener();
    feed.watch(one);
    const failed = [...journal.slice(0, 3), step(7, "node.failed", { n: 1, a: 1 })];
    [...failed, step(8, "run.failed")].forEach((placed) => feed.take(placed));
    expect(types(one)).not.toContain("end");
    feed.take(step(9, "run.redriven", { v: {} as never }));
    expect(types(one).filter((type) => type === "end")).toHaveLength(1);
    expect(types(one).at(-1)).toBe("status_update");
  });
});

describe("reading the journal anew", () => {
  it("gives everybody one snapshot of what holds now, and goes on from there", async () => {
    const feed = await feedWith(journal.slice(0, 3));
    const one = listener();
    feed.watch(one);
    await feed.load(() => {
      feed.take(step(4, "node.retrying", { n: 0, a: 2 }));
      return Promise.resolve(journal.slice(0, 2));
    });
    feed.take(step(5, "node.completed", { n: 0, a: 3, x: "L", o: 1 }));
    expect(one.texts.map(({ type, position }) => [type, position])).toEqual([
      ["snapshot", "4.0"],
      ["snapshot", "4.0"],
      ["status_update", "5.0"],
      ["status_update", "5.0"],
    ]);
  });

  it("twice at the same time, the later decides", async () => {
    const feed = await feedWith([]);
    const one = listener();
    feed.watch(one);
    let release: (history: Placed[]) => void = () => undefined;
    const first = feed.load(() => new Promise((resolve) => (release = resolve)));
    await feed.load(() => Promise.resolve(journal.slice(0, 2)));
    release([]);
    await first;
    expect(one.texts.map(({ position }) => position)).toEqual(["0.-1", "3.0"]);
  });
});

function parse(position: string): number {
  const [seq = "0", index = "0"] = position.split(".");
  return Number(index) < 0 ? Number(seq) - 0.5 : Number(seq);
}
