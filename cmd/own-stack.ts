/**
 * Before a command asks how things stand on the embedded stack that it has started itself: its
 * supervisor has to certify Redis first, or the answer would be that nobody has.
 */
import type { Client } from "../sdk/client.ts";
import type { Stack } from "./stack.ts";

const POLL_MS = 50;

/** Waits for the partition of a run, `patienceMs` at most; not where the stack is somebody else's. */
export async function whenCertified(
  { embedded }: Stack,
  client: Client,
  runId: string,
  patienceMs: number,
): Promise<void> {
  if (embedded?.owner !== true) {
    return;
  }
  const scripts = await client.operations.scripts(runId);
  const until = performance.now() + patienceMs;
  while (!(await scripts.isCertified()) && performance.now() < until) {
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}
