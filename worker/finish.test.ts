/** What outputs are made of is held for as many at one time as there is room for. */
import { expect, it } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import {
  blobRefOf,
  blobText,
  partitionKeys,
  Profiles,
  type ReadyToken,
  type ScriptRunner,
} from "../sdk/internal.ts";
import { ByteRoom } from "./byte-room.ts";
import { settleOutput } from "./finish.ts";

const keys = partitionKeys(0);
const echo = { id: "a", type: "function", config: { function_name: "builtin.echo" } };
const document = { metadata: { name: "w" }, nodes: [echo], edges: [], output: "${input.k}" };
const ir = compile({ document }).ir as Ir;
const place = { partition: 0, namespace: "", priority: "normal" } as const;
const profile = new Profiles().add(ir, "h", place);

/** Settles the outputs of runs with these inputs; how many large ones were held at one time. */
async function settled(inputs: readonly string[], room: ByteRoom): Promise<number> {
  let held = 0;
  let most = 0;
  const redis = {
    hmget: async (key: string, ...fields: string[]) => {
      await Promise.resolve();
      const text = inputs[Number(/r(\d+)/.exec(key)?.[1])] ?? "";
      if (!key.endsWith(":blobs")) {
        const input = text.length > 100 ? blobText(blobRefOf(text)) : text;
        return fields.map((field) => (field === "in" ? input : null));
      }
      held += 1;
      most = Math.max(most, held);
      return fields.map(() => text);
    },
  };
  const transition = async (_: string, keysOf: string[]): Promise<number> => {
    await new Promise((resolve) => setImmediate(resolve));
    const text = inputs[Number(/r(\d+)/.exec(keysOf.join())?.[1])] ?? "";
    held -= text.length > 100 ? 1 : 0;
    return 0;
  };
  const scripts = { keys, redis, transition, nonce: () => "n" } as unknown as ScriptRunner;
  const settling = { scripts, room, outputBytesMax: 1000 };
  await Promise.all(
    inputs.map((_, i) => {
      const token = { runId: `r${i}`, unit: `r${i}`, epoch: "1", node: 0, queueKey: "q" };
      return settleOutput(settling, null as never, profile, token as ReadyToken, null, null);
    }),
  );
  return most;
}

const large = JSON.stringify({ k: 1, x: "x".repeat(1000) });

it("as many outputs are settled at one time as what they are made of has room", async () => {
  const inputs = Array.from({ length: 20 }, () => large);
  expect(await settled(inputs, new ByteRoom(20 * large.length))).toBe(20);
  expect(await settled(inputs, new ByteRoom(3 * large.length))).toBe(3);
});

it("one that refers to nothing large waits for none of them", async () => {
  const room = new ByteRoom(1);
  let end = (): void => undefined;
  const blocking = room.with(1, () => new Promise<void>((done) => (end = done)));
  expect(await settled(['{"k":1}'], room)).toBe(0);
  end();
  await blocking;
});
