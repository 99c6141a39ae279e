/** What blocks say about approvals, as the archiver writes it into the tables. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Transition } from "../sdk/internal.ts";
import {
  closeApprovals,
  decideApprovals,
  listApprovals,
  openApprovals,
  type Database,
} from "../sdk/postgres/index.ts";
import { testDatabase } from "../test/support/index.ts";
import { approvalsIn } from "./block-rows.ts";
import { foldBlock } from "./fold-block.ts";

const server = await testDatabase();
let db: Database;
beforeAll(() => {
  db = server.connect();
});
afterAll(() => server.close());

type Said = Omit<Transition, "r" | "n" | "s" | "a">;
const asked = (secret: string): Said => {
  const w = { kind: "approval", token: `RUN.0-${secret}`, node: "ask", title: "?" } as const;
  return { e: "node.parked", w };
};
const decided = (actor: string): Said => {
  return { e: "approval.decided", v: { actor, approved: true, data: null, at: 1 } };
};
const over: Said = { e: "node.resumed", v: { kind: "approval", approved: true, decisions: [] } };

/** Archives what is said of one token, each list a block. */
async function archive(runId: string, ...blocks: Said[][]): Promise<object> {
  for (const [at, block] of blocks.entries()) {
    const told = block.map((one) => ({ r: "RUN", n: 0, s: "", a: 1, ...one }));
    const body = JSON.stringify(told).replaceAll("RUN", runId);
    const seq = at + 1;
    // The clock stands still: what belongs together is told by the order alone.
    const fold = foldBlock([{ streamId: `${seq}-0`, seq, nonce: "n", prev: "p", t: 1000, body }]);
    for (const { opened, decisions, closed } of approvalsIn(fold, new Map())) {
      await openApprovals(db, opened);
      await decideApprovals(db, decisions);
      await closeApprovals(db, closed);
    }
  }
  const rows = await listApprovals(db, { runId, limit: 9 });
  const texts = rows.map(({ id, state, decisions }): [string, string] => {
    return [
      id.slice(`${runId}.0-`.length),
      [state, ...decisions.map(({ actor }) => actor)].join(" "),
    ];
  });
  return Object.fromEntries(texts);
}

describe("an approval that its token asks for once more", () => {
  it.each([
    ["one-block", [[asked("aaaaaaaa"), decided("ann"), over, asked("bbbbbbbb"), decided("bob")]]],
    [
      "block-by-block",
      [[asked("aaaaaaaa")], [decided("ann"), over, asked("bbbbbbbb")], [decided("bob")]],
    ],
    ["late", [[asked("aaaaaaaa")], [decided("ann")], [over, asked("bbbbbbbb"), decided("bob")]]],
  ])("%s: each has what was said of it", async (name, blocks) => {
    expect(await archive(name, ...blocks)).toEqual({
      aaaaaaaa: "approved ann",
      bbbbbbbb: "open bob",
    });
  });

  it("takes the place of one that nobody has ended", async () => {
    const blocks = [[asked("aaaaaaaa")], [asked("bbbbbbbb"), decided("bob"), over]];
    expect(await archive("superseded", ...blocks)).toEqual({
      aaaaaaaa: "cancelled",
      bbbbbbbb: "approved bob",
    });
  });
});
