/** When a lane reads, and what it does with what it has read; reading itself: reader.test.ts. */
import { pino } from "pino";
import { beforeEach, expect, it } from "vitest";
import type { ReadyToken } from "../sdk/internal.ts";
import { WorkerCounts } from "./counts.ts";
import { runOf, tokenOf } from "./lane.fixture.ts";
import { ReadLoop } from "./read-loop.ts";
import { Room } from "./room.ts";

/** The read under way: how much it asks for, and how it ends. */
interface Read {
  count: number;
  brings: (...tokens: ReadyToken[]) => void;
  fails: (error: Error) => void;
}

let reads: Read[];
let admitted: string[];
let givenUp: string[];
let free: number;
let room: Room;
let loop: ReadLoop;
let scripts: { knownEpoch: number | null; look: () => Promise<void> };
let reader: { isStopped: boolean };
let mended: unknown[];
let mends: boolean;
let logged: string[];

beforeEach(() => {
  [reads, admitted, givenUp, mended, logged] = [[], [], [], [], []];
  mends = true;
  free = 8;
  room = new Room(() => free);
  scripts = { knownEpoch: 1, look: () => Promise.resolve() };
  reader = { isStopped: false };
  const read = (count: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const brings = (...tokens: ReadyToken[]): void => resolve({ tokens, garbage: [] });
      reads.push({ count, brings, fails: reject });
    });
  const endWait = (_redis: unknown, reading: Promise<void>): Promise<void> => reading;
  const mend = (_redis: unknown, error: unknown): boolean => mends && mended.push(error) > 0;
  const logger = pino({}, { write: (line: string) => void logged.push(line) });
  loop = new ReadLoop(
    {
      redis: null,
      scripts,
      logger,
      nowMs: () => 0,
      counts: new WorkerCounts(),
      preparer: { news: { nowMs: () => 0 } },
      reader: Object.assign(reader, { read, endWait, mend }),
    } as never,
    {
      room,
      settlements: { takeovers: 7 },
      lookUps: {
        admit: (tokens, { takeovers }) => {
          free -= tokens.length;
          admitted.push(...tokens.map((token) => `${token.runId} ${takeovers}`));
          return Promise.resolve([]);
        },
      },
      handBacks: {
        giveUp: (tokens) =>
          Promise.resolve(void givenUp.push(...tokens.map((token) => runOf({ token })))),
      },
    },
  );
});

/** Until what follows from it has happened: nothing here waits for a timer. */
const settled = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));
const noPause = (): Promise<void> => Promise.resolve();

it("reads for the room there is, and waits where there is none", async () => {
  const running = loop.run(noPause);
  reads[0]?.brings(tokenOf("a"), tokenOf("b"));
  await settled();
  expect(reads.map(({ count }) => count)).toEqual([8, 6]);
  expect(admitted).toEqual(["a 7", "b 7"]);
  free = 1;
  reads[1]?.brings(tokenOf("c"));
  await settled();
  expect(reads).toHaveLength(2);
  free = 4;
  room.changed();
  await settled();
  expect(reads.map(({ count }) => count)).toEqual([8, 6, 4]);
  loop.quiet();
  reads[2]?.brings();
  await running;
});

it.each([
  ["under an epoch that is over", () => (scripts.knownEpoch = 2)],
  ["while the deployment was stopped", () => (reader.isStopped = true)],
])("gives up what was read %s", async (_, happens) => {
  scripts.look = () => Promise.resolve(void happens());
  const running = loop.run(noPause);
  reads[0]?.brings(tokenOf("a"));
  await settled();
  expect([admitted, givenUp]).toEqual([[], ["a"]]);
  loop.quiet();
  reads[1]?.brings();
  await running;
});

it("asks for the epoch before the first read: else none would be known to compare with", async () => {
  scripts.knownEpoch = null;
  scripts.look = () => Promise.resolve(void (scripts.knownEpoch = 5));
  const running = loop.run(noPause);
  await settled();
  reads[0]?.brings(tokenOf("a"));
  await settled();
  expect([admitted, givenUp]).toEqual([["a 7"], []]);
  loop.quiet();
  reads[1]?.brings();
  await running;
});

it("told to be quiet, admits what the read under way brings, and reads no more", async () => {
  const running = loop.run(noPause);
  loop.quiet();
  reads[0]?.brings(tokenOf("a"));
  await running;
  expect([reads.length, admitted, loop.isQuiet]).toEqual([1, ["a 7"], true]);
});

it("says that a read has ended when what it brought is admitted", async () => {
  const running = loop.run(noPause);
  room.close();
  let seen: string[] = [];
  const ended = loop.endRead().then(() => (seen = [...admitted]));
  reads[0]?.brings(tokenOf("a"));
  await ended;
  expect(seen).toEqual(["a 7"]);
  await settled();
  expect(reads).toHaveLength(1);
  loop.quiet();
  await running;
});

it("goes on after a read that failed, when that has been seen to", async () => {
  const running = loop.run(noPause);
  const error = new Error("no group");
  reads[0]?.fails(error);
  await settled();
  expect(mended).toEqual([error]);
  expect(reads).toHaveLength(2);
  loop.quiet();
  reads[1]?.brings();
  await running;
});

it("says once what keeps it from reading, and tries more slowly as long as that lasts", async () => {
  mends = false;
  const pauses: number[] = [];
  const running = loop.run((ms) => Promise.resolve(void pauses.push(ms)));
  for (let i = 0; i < 5; i++) {
    const error = new Error("READONLY You can't write against a read only replica.");
    reads[i]?.fails(Object.assign(error, { name: "ReplyError" }));
    await settled();
  }
  expect(pauses).toEqual([200, 400, 800, 1000, 1000]);
  expect(logged).toHaveLength(1);
  loop.quiet();
  reads[5]?.brings();
  await running;
  expect(logged).toHaveLength(2);
  expect(logged[1]).toContain("tokens are read again");
});
