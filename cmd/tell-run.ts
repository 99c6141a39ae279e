/** How a run's end and a run's state are told. */
import type { RunReport } from "../sdk/client-report.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { thrownAt } from "./thrown-at.ts";

/** The output on stdout, or why there is none on stderr; the exit code by the run's status. */
export function tellEnd(context: Context, report: RunReport): number {
  const { output } = context;
  output.document(report);
  if (report.status === "COMPLETED") {
    output.line(JSON.stringify(report.output));
    return EXIT.done;
  }
  const error = report.error ?? { code: "", message: "no reason is known" };
  const where = error.node === undefined ? "" : ` at ${error.node}`;
  const why = `${error.code} ${error.message}${thrownAt(error)}`;
  output.note(`run ${report.run_id} ${report.status}${where}: ${why}`);
  return EXIT.failed;
}
