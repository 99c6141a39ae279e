import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { parseEntry, type ReadyToken, type ScriptRunner } from "../sdk/internal.ts";
import { Leases, type Held } from "./leases.ts";

let serial = 0;

function token(): ReadyToken {
  const packed = ["run", "1", "0", "", "1", "hash", "", "", "=1"].join("\x1f");
  return parseEntry("queue", `${++serial}-0`, ["t", packed]) as ReadyToken;
}

function leases(): Leases {
  const scripts = {} as ScriptRunner;
  return new Leases({ scripts, consumer: "c", leaseMs: 30_000, nowMs: () => 0 });
}

it("knows what it holds, whatever is dropped in between", () => {
  const held = leases();
  const [a, b, c] = [token(), token(), token()].map((one) => held.hold(one)) as [Held, Held, Held];
  held.drop(a);
  held.drop(a);
  expect([a, b, c].map((one) => held.has(one))).toEqual([false, true, true]);
  expect(new Set(held.all())).toEqual(new Set([b, c]));
  held.drop(c);
  expect(held.all()).toEqual([b]);
  const d = held.hold(token());
  expect(new Set(held.forsake())).toEqual(new Set([b, d]));
  expect([held.size, held.has(b), held.has(d)]).toEqual([0, false, false]);
});

// In a process of its own: how V8 treats a heap depends on all that was loaded before.
const program = `
import { grownOld } from ${JSON.stringify(import.meta.resolve("../test/support/grown-old.ts"))};
import { Leases } from ${JSON.stringify(import.meta.resolve("./leases.ts"))};
const [atOnce, rounds, bytes] = [500, 400, 1000];
const held = new Leases({ scripts: {}, consumer: "c", leaseMs: 30_000, nowMs: () => 0 });
let serial = 0;
// Like one that was read: its payload is a text of its own.
const token = () => ({ queueKey: "queue", entryId: ++serial + "-0", payload: "x".repeat(bytes) + serial });
const some = () => Array.from({ length: atOnce / 5 }, () => {
  const one = token();
  one.payload = Buffer.from(one.payload).toString();
  return held.hold(one);
});
const batches = Array.from({ length: 5 }, some);
const grown = await grownOld((age) => {
  for (let round = 1; round <= rounds; round++) {
    batches[round % 5].forEach((one) => held.drop(one));
    batches[round % 5] = some();
    if (round % 40 === 0) age();
  }
});
console.log(grown / (rounds * (atOnce / 5) * bytes));
`;

// When the heap is collected is V8's affair: what is in use at the wrong moment grows old, too.
it("lets go of a token with its lease: none grows old with others", { retry: 2 }, async () => {
  const argv = ["--import", import.meta.resolve("tsx"), "--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, argv);
  expect(Number(stdout)).toBeLessThan(1 / 2);
});
