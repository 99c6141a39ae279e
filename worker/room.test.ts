import { expect, it } from "vitest";
import { Room } from "./room.ts";

/** A room of so much, which may change. */
function roomOf(count: number): { room: Room; free: (count: number) => void } {
  let now = count;
  const room = new Room(() => now);
  const free = (next: number): void => {
    now = next;
    room.changed();
  };
  return { room, free };
}

/** Whether it has come to its end by now. */
async function isOver(work: Promise<unknown>): Promise<boolean> {
  let ended = false;
  void work.then(() => (ended = true));
  await Promise.resolve().then(() => undefined);
  return ended;
}

it("is read for, but for what is kept; and not at all while it is closed", () => {
  const { room } = roomOf(5);
  expect(room.toRead).toBe(5);
  room.keep(2);
  expect([room.now, room.toRead]).toEqual([5, 3]);
  room.close();
  expect([room.now, room.toRead]).toEqual([5, 0]);
  room.open();
  expect(room.toRead).toBe(5);
});

it("has a reader wait until there is some to read for", async () => {
  const { room, free } = roomOf(0);
  const waiting = room.wait();
  room.close();
  free(1);
  expect(await isOver(waiting)).toBe(false);
  room.open();
  expect(await isOver(waiting)).toBe(true);
  free(0);
  const next = room.wait();
  free(0);
  expect(await isOver(next)).toBe(false);
  free(1);
  expect(await isOver(next)).toBe(true);
});

it("is kept for a look until there is so much", async () => {
  const { room, free } = roomOf(1);
  const made = room.make(3, 60_000, () => false);
  free(2);
  expect(room.toRead).toBe(-1);
  free(4);
  free(0); // the reader was faster: what there has been is told
  expect(await made).toBe(4);
});

it("is not waited for any longer by a lane that begins nothing more", async () => {
  const { room } = roomOf(1);
  let isIdle = false;
  const made = room.make(3, 60_000, () => isIdle);
  isIdle = true;
  room.wake();
  expect(await made).toBe(1);
});
