/** What becomes of a batch of which something cannot be kept, or is not answered. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import { blobRefOf, blobText, putBlobs, type NewBlob } from "../blobs.ts";
import type { RunProfile } from "../profile.ts";
import { COMPLETION, completeBatch, type CompletionItem } from "./complete-tokens.ts";
import { certifiedSource, ScriptRunner, type ScriptArg } from "./script-runner.ts";
import type { ScriptName } from "./scripts.gen.ts";

const MB = 1024 * 1024;

/** Calls, in their order; `before` may refuse one, `after` sees it answered. */
class Watched extends ScriptRunner {
  readonly calls: { name: ScriptName; keys: string[]; chars: number }[] = [];
  before: (call: { name: ScriptName; keys: string[] }) => void = () => undefined;
  after: (name: ScriptName) => Promise<unknown> = () => Promise.resolve();

  override async transition(
    ...[name, keys, args, options]: Parameters<ScriptRunner["transition"]>
  ): Promise<unknown> {
    this.before({ name, keys });
    this.calls.push({ name, keys, chars: args.reduce(sum, 0) });
    const reply = await super.transition(name, keys, args, options);
    await this.after(name);
    return reply;
  }
}

function sum(chars: number, arg: ScriptArg): number {
  return chars + (typeof arg === "string" ? arg.length : 0);
}

let p: TestPartition;
let profile: RunProfile;
let scripts: Watched;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(async () => {
  await p.reset();
  profile = await p.publish(miniIr(["a"], []), "one");
  const onNewEpoch = (): void => undefined;
  scripts = new Watched({ redis: p.redis, deployment: "test", partition: 0, onNewEpoch });
});

/** A run that has begun, and the item that ends its node; with an output that is kept beside it. */
async function ending(runId: string, large = false): Promise<CompletionItem> {
  const run = new TokenPlayer(p, profile, runId);
  await run.start();
  const token = (await run.read()).find((one) => one.runId === runId);
  const text = JSON.stringify(runId.padEnd(20_000, "."));
  const ref = blobRefOf(text);
  const item = run.item(token as never, "", large ? { value: blobText(ref) } : {});
  return large ? { ...item, blobs: [{ sha256: ref.sha256, text }] } : item;
}

function blob(name: string, chars: number): NewBlob {
  const text = JSON.stringify(name.padEnd(chars, "."));
  return { sha256: blobRefOf(text).sha256, text };
}

describe("large outputs", () => {
  it("go in calls of a few megabytes, however many a token has", async () => {
    await ending("r");
    const blobs = [...Array(12).keys()].map((i) => blob(`b${i}`, MB));
    await putBlobs(scripts, { runId: "r", epoch: "1" }, [...blobs, blob("huge", 6 * MB)]);
    const chars = scripts.calls.map((call) => call.chars / MB);
    expect(Math.max(...chars.slice(0, -1))).toBeLessThan(4.1);
    expect(chars.at(-1)).toBeLessThan(6.1);
    expect(chars).toHaveLength(5);
    expect(await p.redis.hlen(p.scripts.keys.blobs("r"))).toBe(13);
  });

  it("that cannot be kept are their item's trouble, and no other's", async () => {
    const items = [await ending("r1", true), await ending("r2"), await ending("r3", true)];
    const refused = new Error("refused");
    scripts.before = ({ keys }) => {
      if (keys.includes(scripts.keys.blobs("r1"))) {
        throw refused;
      }
    };
    const { codes, takeovers, error } = await completeBatch(scripts, items, "c");
    expect(codes).toEqual([Number.NaN, COMPLETION.done, COMPLETION.done]);
    expect([takeovers, error]).toEqual([0, refused]);
    expect(await p.redis.hget(p.scripts.keys.run("r1"), "s")).toBe("running");
    expect(await p.redis.hlen(p.scripts.keys.blobs("r3"))).toBe(1);
  });

  it("of a token of an attempt before are refused by themselves", async () => {
    const late = { ...(await ending("r", true)), epoch: "0" };
    const item = { ...late, epoch: "1" };
    const { codes } = await completeBatch(scripts, [late, item], "c");
    expect(codes).toEqual([COMPLETION.runEpoch, COMPLETION.done]);
    expect(await p.redis.hlen(p.scripts.keys.blobs("r"))).toBe(1);
  });

  it("that were kept under an epoch before are of no use to a batch: it is not sent", async () => {
    const item = await ending("r", true);
    await scripts.look();
    for (const name of ["putBlobs", "completeTokens"] as const) {
      await p.scripts.redis.script("LOAD", certifiedSource(name, "test", 0, 2));
    }
    scripts.after = async () => {
      scripts.after = () => Promise.resolve();
      await p.redis.hset(p.scripts.keys.meta, "epoch", 2);
      // Whoever calls next hears of it.
      await expect(putBlobs(scripts, { runId: "r", epoch: "1" }, [blob("b", 1)])).rejects.toThrow();
    };
    const { codes, error } = await completeBatch(scripts, [item], "c");
    expect(codes).toEqual([Number.NaN]);
    expect(error).toMatchObject({ code: "GV_PARTITION_UNCERTIFIED" });
    expect(await p.redis.hget(p.scripts.keys.run("r"), "s")).toBe("running");
  });
});

describe("a batch that takes two calls", () => {
  it("keeps what the first has answered if the second is not", async () => {
    const [short, general] = [await ending("r1"), await ending("r2")];
    const gone = { ...(await ending("r3")), runId: "gone" }; // nothing is written: sent once more
    scripts.after = async () => {
      scripts.before = () => {
        throw new Error("not answered");
      };
      return Promise.resolve();
    };
    const { codes, takeovers, error } = await completeBatch(scripts, [short, gone, general], "c");
    expect(codes).toEqual([COMPLETION.done, Number.NaN, COMPLETION.done]);
    expect([takeovers, error]).toEqual([0, new Error("not answered")]);
  });
});
