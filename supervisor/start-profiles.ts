/**
 * Profiles of runs that are started. Those of the common queues are few, come again with each start, and
 * go with their workflow; a namespace is that of one `gavotte run`, so nothing is kept of it.
 */
import type { Ir } from "../compiler/ir.ts";
import { Profiles, type ProfilePlace, type RunProfile } from "../sdk/internal.ts";

export class StartProfiles {
  readonly #kept = new WeakMap<Ir, Profiles>();

  /** `ir` is that of `irHash`. */
  of(ir: Ir, { irHash, ...run }: ProfilePlace & { irHash: string }): RunProfile {
    const { partition, namespace, priority } = run;
    const kept = namespace === "" ? this.#kept.get(ir) : undefined;
    const profiles = kept ?? new Profiles();
    if (namespace === "" && kept === undefined) {
      this.#kept.set(ir, profiles);
    }
    return profiles.add(ir, irHash, { partition, namespace, priority });
  }
}
