/**
 * `npm run scale -- [--runs 100000] [--out FILE]`: so many runs that wait for a signal, on a real Redis
 * and a real Postgres, with roles as processes. Prints how the memory of Redis goes while they are
 * submitted, fall asleep, and sleep; wakes some; empties Redis; and ends with 1 if any run was lost.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { measureSleepers } from "./sleepers.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "100000" },
    after: { type: "string", default: "5000" },
    wake: { type: "string", default: "500" },
    out: { type: "string" },
  },
});

const report = await measureSleepers({
  runs: Number(values.runs),
  hibernateAfterMs: Number(values.after),
  wake: Number(values.wake),
  log: (text) => process.stderr.write(`${new Date().toISOString()} ${text}\n`),
});
const text = `${JSON.stringify(report, null, 2)}\n`;
process.stdout.write(text);
if (values.out !== undefined) {
  writeFileSync(values.out, text);
}
process.exit(report.wrong.length > 0 ? 1 : 0);
