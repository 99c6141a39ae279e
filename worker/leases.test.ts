import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { parseEntry, type ReadyToken, type ScriptRunner } from "../sdk/internal.ts";
import { grownOld } from "../test/support/grown-old.ts";
import { Leases, type Held } from "./leases.ts";

const PAYLOAD_BYTES = 1000;

let serial = 0;

/** A token like one that was read: its payload is a text of its own. */
function token(): ReadyToken {
  const payload = `=${randomBytes(PAYLOAD_BYTES / 2).toString("hex")}`;
  const packed = ["run", "1", "0", "", "1", "hash", "", "", payload].join("\x1f");
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

// When the heap is collected is V8's affair: what is in use at the wrong moment grows old, too.
it("lets go of a token with its lease: none grows old with others", { retry: 2 }, async () => {
  const [atOnce, rounds] = [500, 400];
  const held = leases();
  const some = (): Held[] => Array.from({ length: atOnce / 5 }, () => held.hold(token()));
  const batches = Array.from({ length: 5 }, some);
  const grown = await grownOld((age) => {
    for (let round = 1; round <= rounds; round++) {
      batches[round % 5]?.forEach((one) => held.drop(one));
      batches[round % 5] = some();
      if (round % 40 === 0) {
        age();
      }
    }
  });
  const all = rounds * (atOnce / 5) * PAYLOAD_BYTES;
  expect(grown).toBeLessThan(all / 2);
});
