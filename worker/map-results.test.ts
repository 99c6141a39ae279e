/** Large values are counted before they are read. */
import { expect, it } from "vitest";
import { blobRefOf, blobText, partitionKeys, RunData } from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { readResults } from "./map-results.ts";
import type { Preparation } from "./prepare.ts";
import { READ_BYTES_MAX } from "./read-limit.ts";
import { resolveBlobs } from "./resolve-blobs.ts";

const MIB = 1024 * 1024;
const TEXT = JSON.stringify("x".repeat(MIB - 2));
const REF = blobText(blobRefOf(TEXT));
const tooLarge = expect.objectContaining({ code: "TOO_LARGE", retryable: false }) as Error;

/** A map of so many elements that each have this result; how often a large value is read. */
function mapOf(count: number, result: string): { redis: never; reads: () => number } {
  let reads = 0;
  const redis = {
    hget: (_: string, field: string): Promise<string> => {
      reads += field === "n" ? 0 : 1;
      return Promise.resolve(field === "n" ? String(count) : TEXT);
    },
    hmget: (_: string, ...fields: string[]): Promise<(string | null)[]> =>
      Promise.resolve(fields.map((field) => (field.startsWith("r") ? result : null))),
  };
  return { redis: redis as never, reads: () => reads };
}

it("the results of a map that are too large together are not read", async () => {
  const { redis, reads } = mapOf(2000, REF);
  const how = { composed: false, bytesMax: 16 * MIB };
  await expect(readResults(redis, "k", "b", how)).rejects.toThrow(tooLarge);
  expect(reads()).toBe(0);
});

it("small results are too large together as well", async () => {
  const { redis } = mapOf(2000, JSON.stringify("x".repeat(9000)));
  const how = { composed: false, bytesMax: 16 * MIB };
  await expect(readResults(redis, "k", "b", how)).rejects.toThrow(tooLarge);
});

it("of results that scripts have put together no more is read than is kept", async () => {
  const { redis, reads } = mapOf(10, `{"a":${REF},"b":${REF}}`);
  const how = { composed: true, bytesMax: 5 * MIB };
  await expect(readResults(redis, "k", "b", how)).rejects.toThrow(tooLarge);
  expect(reads()).toBeLessThanOrEqual(5);
});

it("what fits is read, each result once", async () => {
  const { redis, reads } = mapOf(3, REF);
  const how = { composed: false, bytesMax: 16 * MIB };
  expect((await readResults(redis, "k", "b", how)).output).toEqual(Array(3).fill(JSON.parse(TEXT)));
  expect(reads()).toBe(3);
});

/** Tokens that read so many bytes each, in references of 4 MiB. */
function needy(bytes: readonly number[]): Preparation[] {
  return bytes.map((all, token) => {
    const refs = Array.from({ length: all / (4 * MIB) }, (_, i) => ({
      sha256: `${token}${i}`.padStart(64, "0"),
      bytes: 4 * MIB,
    }));
    const fields = new Map(refs.map((ref, i) => [`n${i}`, `c1||${blobText(ref)}`]));
    const data = new RunData(miniIr(["a"], []), fields);
    const prepared = { token: { runId: "r", payload: null, answer: null }, data };
    return { kind: "ready", prepared } as unknown as Preparation;
  });
}

/** How many values each call asks for. */
async function asked(preparations: readonly Preparation[]): Promise<number[]> {
  const calls: number[] = [];
  const pipeline = (): object => {
    const replies: [null, string[]][] = [];
    return {
      hmget: (_: string, ...hashes: string[]) => replies.push([null, hashes]),
      exec: () => {
        calls.push(replies.flatMap(([, hashes]) => hashes).length);
        return Promise.resolve(replies);
      },
    };
  };
  await resolveBlobs({ pipeline } as never, partitionKeys(0), preparations);
  return calls;
}

it("a batch's large values are read in portions of 16 MiB, or one token's", async () => {
  expect(await asked(needy([8, 8, 8, 40, 4].map((mib) => mib * MIB)))).toEqual([4, 2, 10, 1]);
});

it("a token that reads too much together reads nothing, and fails by itself", async () => {
  const both = needy([READ_BYTES_MAX + 4 * MIB, 4 * MIB]);
  expect(await asked(both)).toEqual([1]);
  const [data] = both.map((one) => (one as never as { prepared: { data: RunData } }).prepared.data);
  expect(() => data?.value(REF)).toThrow(tooLarge);
});
