/** The parts of this process that metrics are asked of; each enters itself when it is made. */
import type { Gateway } from "../../gateway/index.ts";
import type { Supervisor } from "../../supervisor/index.ts";
import type { Worker } from "../../worker/index.ts";

export interface Watched {
  readonly workers: Worker[];
  readonly supervisors: Supervisor[];
  readonly gateways: Gateway[];
}

export const nobodyWatched = (): Watched => ({ workers: [], supervisors: [], gateways: [] });
