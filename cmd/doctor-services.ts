/** What `gavotte doctor` says of the engine's own processes: supervisors, workers, a gateway. */
import { errorCode } from "../sdk/internal.ts";
import { livingWorkers } from "../sdk/postgres/index.ts";
import { countSupervisors } from "../supervisor/index.ts";
import type { Config } from "./config.ts";
import type { Context } from "./context.ts";
import type { Check } from "./doctor-checks.ts";
import { askedUntil } from "./doctor-moment.ts";
import { gatewayUrl } from "./gateway-url.ts";
import type { Stack } from "./stack.ts";

const GATEWAY_MS = 5000;
const NEEDED = "nobody is served who watches, awaits or calls back";

/** Whether anybody archives, starts and fires timers; one that has just started needs a moment. */
export async function checkSupervisors(
  stack: Stack,
  _: unknown,
  untilMs: number,
): Promise<Check[]> {
  const ask = (): Promise<number | null> => countSupervisors(stack.db);
  const count = await askedUntil(untilMs, ask, (found) => found !== 0);
  const none =
    "none: no timer fires, nothing is taken in, started, archived or ended; " +
    'start "gavotte supervisor"';
  const state = count === 0 ? "bad" : "ok";
  const some = count === null ? "beside the embedded Postgres" : String(count);
  return [{ name: "supervisors", state, text: count === 0 ? none : some }];
}

/** Workers that were heard of lately. */
export async function checkWorkers(stack: Stack): Promise<Check[]> {
  const alive = await livingWorkers(stack.db);
  if (alive.length === 0) {
    return [{ name: "workers", state: "warning", text: 'none: start "gavotte worker"' }];
  }
  return alive.map((worker) => {
    const load = `${worker.inFlight} of ${worker.concurrency} steps`;
    return { name: "worker", state: "ok", text: `${worker.id}: ${load}` };
  });
}

/** Whether a gateway answers where clients look for one. A deployment may have none. */
export async function checkGateway(context: Context, config: Config): Promise<Check[]> {
  let url: string;
  try {
    url = await gatewayUrl(context, config);
  } catch (error) {
    if (errorCode(error) !== "GV_GATEWAY_UNAVAILABLE") {
      throw error;
    }
    return [{ name: "gateway", state: "warning", text: `none: ${NEEDED}; start "gavotte dev"` }];
  }
  return [await gatewayCheck(url)];
}

/** Whether the gateway at this address is ready. */
export async function gatewayCheck(url: string): Promise<Check> {
  const name = "gateway";
  try {
    const at = new URL("/readyz", url.replace(/^ws/, "http"));
    const { ok, status } = await fetch(at, { signal: AbortSignal.timeout(GATEWAY_MS) });
    const text = ok ? url : `${url} is not ready: it answers with status ${status}`;
    return { name, state: ok ? "ok" : "warning", text };
  } catch (error) {
    const { message, cause } = error as Error;
    const reason = cause instanceof Error && cause.message !== "" ? cause.message : message;
    const remedy = 'start "gavotte gateway", or say where it is (gateway_url)';
    const text = `none answers at ${url} (${reason}): ${NEEDED}; ${remedy}`;
    return { name, state: "warning", text };
  }
}
