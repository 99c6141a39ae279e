/**
 * What transitions of a run itself say of its row: its status, its end, whose child it is. The last of
 * a block wins, because a run's transitions stand in their order.
 */
import type { Transition } from "../sdk/internal.ts";
import type { NewChild } from "../sdk/postgres/index.ts";
import type { BlockFold, RedrivenFold, RunFold } from "./block-fold.ts";
import type { RawRecord } from "./records.ts";

/** A transition, and where it stands in the journal. */
export interface Placed {
  transition: Transition;
  text: string;
  record: RawRecord;
  position: string;
}

/** Folds a transition `run.*`. */
export function foldRun(block: BlockFold, run: RunFold, placed: Placed): void {
  const { transition: tr, text, record, position } = placed;
  const { t, seq } = record;
  switch (tr.e) {
    case "run.started":
      run.status = "RUNNING";
      run.startedAtMs = t;
      run.irHash = tr.ir ?? null;
      if (tr.dep !== undefined) {
        run.child = childOf(tr, text, t);
        block.children.push(run.child);
      }
      break;
    case "run.finishing":
      run.status = "FINISHING";
      break;
    case "run.redriven":
      run.status = "RUNNING";
      run.businessStatus = tr.rd?.bs === undefined ? run.businessStatus : tr.rd.bs;
      block.redriven.push(redrivenOf(tr, t));
      break;
    case "run.paused":
    case "run.resumed":
      run.status = tr.ps === "" ? "RUNNING" : "PAUSED";
      break;
    case "run.completed":
      run.status = "COMPLETED";
      run.endedAtMs = t;
      // The member stands last, and nothing before it can hold a quote of a user's.
      run.output = tr.o === undefined ? null : text.slice(text.indexOf('"o":') + 4, -1);
      break;
    case "run.failed":
    case "run.cancelled":
      run.status = tr.e === "run.failed" ? "FAILED" : "CANCELLED";
      run.endedAtMs = t;
      run.error = tr.err?.error ?? null;
      break;
    case "run.hibernated":
      block.asleep.push({
        ...{ runId: tr.r, sinceMs: t, seq },
        ...{ wakesAtMs: tr.due ?? null, causes: tr.ps ?? "" },
      });
      break;
    case "run.suspect":
      block.suspects.push(tr.r);
      if (tr.raw !== undefined) {
        block.apart.push({ runId: tr.r, position });
      }
      break;
    default: // of nodes: they change no row
  }
}

function childOf(tr: Transition, text: string, t: number): NewChild {
  const [namespace = "", priority = "normal"] = (tr.p ?? "").split("|");
  const { up } = tr;
  const parent = up?.slice(0, up.indexOf("|")).split("!", 1)[0];
  return {
    id: tr.r,
    irHash: tr.ir ?? "",
    partition: 0,
    namespace,
    priority: priority as NewChild["priority"],
    // The member stands last, and nothing before it can hold a quote of a user's.
    input: text.slice(text.indexOf('"inp":') + '"inp":'.length, -1),
    depth: tr.dep ?? 0,
    parent:
      up === undefined || parent === undefined ? null : { runId: parent, node: tr.un ?? "", up },
    startedAtMs: t,
  };
}

function redrivenOf(tr: Transition, t: number): RedrivenFold {
  const { rd, ep = 0, at = 0 } = tr;
  const input = rd?.in === undefined ? null : JSON.stringify(rd.in);
  const undone = (rd?.u ?? []).map((key) => Number.parseInt(key, 10));
  return { id: tr.r, epoch: ep, attempt: at, input, atMs: t, undone };
}
