/**
 * The processor time of one thread, which Node 20 does not tell: it knows that of the process, and for
 * how long a thread has been at work, be it by waiting for a processor.
 *
 * Linux knows: a thread names itself (`/proc/thread-self`), and whoever shares its cell reads what it
 * has used. Elsewhere nobody is told.
 */
import { readFileSync, readlinkSync } from "node:fs";

/** Shared with a thread: the system's number of it; 0 as long as it is not known. */
export type ThreadCell = Int32Array;

/** Of the times in `stat`: USER_HZ, the same on every Linux that Node runs on. */
const TICK_MS = 10;
/** Fields of `stat` behind the name: time in the program, and in the kernel for it. */
const [USER, SYSTEM] = [11, 12];

/** A cell to be handed to a thread. */
export function threadCell(): ThreadCell {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}

/** In the thread: writes its number down, where the system tells. */
export function nameThread(cell: ThreadCell): void {
  try {
    const [, id] = /\/task\/(\d+)$/.exec(readlinkSync("/proc/thread-self")) ?? [];
    Atomics.store(cell, 0, Number(id ?? 0));
  } catch {
    // No Linux: nobody is told.
  }
}

/** What the thread of this process has used so far, ms; null: it is not known. */
export function threadCpuMs(cell: ThreadCell): number | null {
  const id = Atomics.load(cell, 0);
  try {
    const text = id === 0 ? "" : readFileSync(`/proc/self/task/${id}/stat`, "latin1");
    // The name before is in brackets, and may have any character.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[USER]) + Number(fields[SYSTEM]);
    return Number.isFinite(ticks) ? ticks * TICK_MS : null;
  } catch {
    return null;
  }
}
