import { expect, it } from "vitest";
import { ByteRoom } from "./byte-room.ts";

/** What has begun, and how each is ended. */
function stage(max: number): {
  begun: string[];
  ask: (name: string, bytes: number) => Promise<void>;
  end: (name: string) => Promise<void>;
} {
  const room = new ByteRoom(max);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const done = new Map<string, Promise<void>>();
  const ask = async (name: string, bytes: number): Promise<void> => {
    const work = (): Promise<void> => {
      begun.push(name);
      return new Promise((end) => ends.set(name, end));
    };
    done.set(name, room.with(bytes, work));
    await Promise.resolve();
  };
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await done.get(name);
    await Promise.resolve();
  };
  return { begun, ask, end };
}

it("is had in turn, by as many as fit, and by one that is larger than all of it", async () => {
  const { begun, ask, end } = stage(10);
  await ask("a", 6);
  await ask("b", 6);
  await ask("c", 4);
  await ask("d", 50);
  expect(begun).toEqual(["a"]);
  await end("a");
  expect(begun).toEqual(["a", "b", "c"]);
  await end("b");
  expect(begun).toEqual(["a", "b", "c"]);
  await end("c");
  expect(begun).toEqual(["a", "b", "c", "d"]);
});

it("is not asked for by what is small", async () => {
  const { begun, ask } = stage(10);
  await ask("a", 10);
  await ask("b", 1);
  await ask("small", 0);
  expect(begun).toEqual(["a", "small"]);
});

it("is free again when the work fails", async () => {
  const room = new ByteRoom(1);
  await expect(room.with(1, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await room.with(1, () => Promise.resolve(1))).toBe(1);
});
