/**
 * Which steps go first, for workflows that ask for it (`settings.order: critical_path`).
 *
 * A step is critical if the run would end later were it later: the longest way through it is the
 * longest of all, or nearly. Such tokens stand before, all others behind (sdk/profile.ts has the
 * streams): two classes are what a first-come queue can be split into, and more of them, up to a rank
 * for each step, are no better on the workflows that test/critical-path.test.ts measures. It is the
 * way through a step that counts and not, as in HEFT's upward rank, what lies ahead of it: among
 * equal branches those that began first then also end first, and their joins do not wait for the
 * last of all.
 *
 * What steps take is what the author expects of them, and where nothing is said as long as the
 * average of what is said; without any, every step counts as one. Bodies of maps keep the order of
 * their elements.
 */
import { findCriticalPath } from "../analysis/critical-path.ts";
import type { Ir } from "../ir.ts";
import type { Pass } from "./pass.ts";

/** Expectations are no measurements: who is within this share of the longest way is critical, too. */
const NEARLY = 0.1;

export const ORDER_STEPS: Pass = {
  name: "order-steps",
  about: "what the end of the run waits for goes first",
  run(ir, note) {
    if (ir.settings.order !== "critical_path") return;
    const { length, timing } = findCriticalPath(ir, expectedOf(ir));
    const names = ir.queues.length;
    const behind: string[] = [];
    ir.nodes.forEach((node, index) => {
      if ((timing[node.id]?.slack ?? 0) <= length * NEARLY) {
        note(index, "is on the longest way, or nearly: goes first");
        return;
      }
      const name = ir.queues[node.queue] ?? "";
      const known = behind.indexOf(name);
      node.queue = names + (known < 0 ? behind.push(name) - 1 : known);
    });
    ir.queues.push(...behind);
    ir.behind = names;
    // Where a run begins, a worker that waits for work is given what is queued first.
    const isBehind = (index: number): number => ((ir.nodes[index]?.queue ?? 0) < names ? 0 : 1);
    ir.analysis.roots.sort((a, b) => isBehind(a) - isBehind(b) || a - b);
  },
};

function expectedOf({ nodes }: Ir): { [node: string]: number } {
  const said = nodes.flatMap(({ expected_ms: ms }) => ms ?? []);
  const usual = said.length === 0 ? 1 : said.reduce((sum, ms) => sum + ms, 0) / said.length;
  return Object.fromEntries(nodes.map(({ id, expected_ms: ms }) => [id, ms ?? usual]));
}
