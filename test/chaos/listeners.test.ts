/** That a subscriber of the chaos suite who misses something, or hears it twice, is noticed. */
import { describe, expect, it } from "vitest";
import type { FeedMessage } from "../../sdk/feed-client.ts";
import type { ArchivedTransition } from "../../sdk/postgres/index.ts";
import type { Transition } from "../../sdk/internal.ts";
import { RunFeed } from "../../gateway/run-feed.ts";
import { misheard } from "./listeners.ts";
import { compiled } from "./workloads.ts";

const echo = { type: "function", config: { function_name: "builtin.echo" } };
const { ir } = compiled({
  metadata: { name: "two" },
  nodes: [
    { id: "a", ...echo },
    { id: "b", ...echo },
  ],
  edges: [{ from: "a", to: "b" }],
});

const step = (seq: number, e: Transition["e"], more: Partial<Transition> = {}) => ({
  ...{ position: `${seq}.0`, t: seq, transition: { r: "r", e, ...more } },
});
const journal: ArchivedTransition[] = [
  step(1, "run.started"),
  step(2, "node.completed", { n: 0, a: 1, x: "L", o: 1 }),
  step(3, "node.completed", { n: 1, a: 1, x: "", o: 2 }),
  step(4, "run.completed"),
];

/** What a gateway tells somebody who is there from the `from`-th transition on. */
async function heardFrom(from: number): Promise<FeedMessage[]> {
  const placed = journal.map(({ position, t: tMs, transition }) => ({ position, tMs, transition }));
  const feed = new RunFeed("r", ir, () => Promise.resolve(4));
  await feed.load(() => Promise.resolve(placed.slice(0, from)));
  const heard: FeedMessage[] = [];
  const hear = (text: string): void => void heard.push(JSON.parse(text) as FeedMessage);
  feed.watch({ take: ({ text }) => hear(text), tell: hear });
  placed.slice(from).forEach((one) => feed.take(one));
  await new Promise((told) => setImmediate(told));
  return heard;
}

describe("what a subscriber heard", () => {
  it.each([0, 1, 3, 4])("is right from transition %i on", async (from) => {
    expect(misheard(ir, "r", journal, await heardFrom(from))).toBeNull();
  });

  it("is right where a new snapshot replaces what was told before", async () => {
    const void_ = (await heardFrom(0)).slice(0, 3);
    expect(misheard(ir, "r", journal, [...void_, ...(await heardFrom(1))])).toBeNull();
  });

  it("is wrong without any one of its messages", async () => {
    const heard = await heardFrom(1);
    for (const [i, { type }] of heard.entries()) {
      const without = heard.filter((_, at) => at !== i);
      expect(misheard(ir, "r", journal, without), `without ${type} ${i}`).not.toBeNull();
    }
  });

  it("is wrong with any one of its updates twice", async () => {
    const heard = await heardFrom(1);
    for (const [i, message] of heard.entries()) {
      if (message.type === "status_update") {
        const twice = heard.toSpliced(i, 0, message);
        expect(misheard(ir, "r", journal, twice)).toMatch(`message ${i} after the snapshot is`);
      }
    }
  });

  it("is wrong if the snapshot is of another moment than it says", async () => {
    const [[early], [, ...rest]] = [await heardFrom(1), await heardFrom(2)];
    const shown = { ...early, position: "2.0" } as FeedMessage;
    expect(misheard(ir, "r", journal, [shown, ...rest])).toMatch("the snapshot");
  });
});
