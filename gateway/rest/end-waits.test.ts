/** Long polls by themselves: who is let go, and how many may wait. */
import { pino } from "pino";
import { afterAll, expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { EndWaits } from "./end-waits.ts";

const logger = pino({ level: "silent" });
const LONG_MS = 3_600_000;
/** In which no run has ended. */
const database = await testDatabase();
const db = database.connect();
afterAll(() => database.close());

it("refuses who comes when as many wait as may, until one of them is gone", async () => {
  const waits = new EndWaits(db, logger, 2);
  const gone = new AbortController();
  const first = waits.wait("r", LONG_MS, gone.signal);
  const second = waits.wait("r", LONG_MS, new AbortController().signal);
  const third = (): Promise<void> => waits.wait("s", 1, new AbortController().signal);
  await expect(third()).rejects.toMatchObject({ code: "GV_GATEWAY_BUSY" });
  gone.abort();
  await first;
  await third();
  await waits.stop();
  await second;
});

it("keeps nobody who has gone, nor whoever comes when it has stopped", async () => {
  const waits = new EndWaits(db, logger);
  const aborted = AbortSignal.abort();
  await waits.wait("r", LONG_MS, aborted);
  const waiting = waits.wait("r", LONG_MS, new AbortController().signal);
  await waits.stop();
  await waiting;
  await waits.wait("r", LONG_MS, new AbortController().signal);
});
