/**
 * Counts how often it is looked whether a run has ended, on the published mix, and writes
 * docs/evidence/terminal-checks.json: `npx tsx scripts/dev/terminal-checks.ts [SEEDS]`.
 */
import { writeFileSync } from "node:fs";
import { countChecks, MIX } from "../../test/generate/terminal-checks.ts";

const seeds = Number(process.argv[2] ?? 200);
const path = new URL("../../docs/evidence/terminal-checks.json", import.meta.url);
const mix = Object.entries(MIX).map(([name, options]) => [name, countChecks(options, seeds)]);
const command = `npx tsx scripts/dev/terminal-checks.ts ${seeds}`;
writeFileSync(path, `${JSON.stringify({ command, seeds, ...Object.fromEntries(mix) }, null, 2)}\n`);
