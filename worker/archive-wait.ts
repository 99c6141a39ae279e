/** A lane waits for the archiver: while the journal is too far ahead, it reads no queue (21 C9). */
import { sharedBacklogBytes } from "../sdk/internal.ts";
import type { LaneOptions } from "./lane-options.ts";

type Options = Pick<LaneOptions, "redis" | "scripts" | "reader" | "logger">;

/** Reads no queue, or again, by how far the journal is ahead of its archive, in bytes. */
export async function waitForArchive(options: Options, bytesMax: number): Promise<void> {
  const { redis, scripts, reader, logger } = options;
  const bytes = await sharedBacklogBytes(redis, scripts.keys);
  const isBehind = bytes > bytesMax;
  if (isBehind !== reader.isHalted) {
    logger.warn({ bytes, isBehind }, "reads no queue while the journal waits to be archived");
    reader.isHalted = isBehind;
  }
}
