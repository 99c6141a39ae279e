/**
 * Compares the proofs with exhaustive execution on the published seeds and writes
 * docs/evidence/analysis-seeds.json: `npx tsx scripts/dev/analysis-seeds.ts [BLOCKS]`, of 100 seeds
 * each.
 * With `--check` it writes nothing and fails if something is different from what is published.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { BLOCK, compareBlock, type SeedBlock } from "../../compiler/analysis/seeds.fixture.ts";

const path = new URL("../../docs/evidence/analysis-seeds.json", import.meta.url);
const isCheck = process.argv.includes("--check");
const asked = Number(process.argv[2] ?? Number.NaN);

function published(): SeedBlock[] {
  return (JSON.parse(readFileSync(path, "utf8")) as { blocks: SeedBlock[] }).blocks;
}

const count = Number.isInteger(asked) ? asked : published().length;
const blocks = Array.from({ length: count }, (_, i) => {
  const block = compareBlock(1 + i * BLOCK);
  console.error(`${block.from} to ${block.to}: ${block.compared} compared, ${block.broken} broken`);
  return block;
});
const differs = isCheck && JSON.stringify(blocks) !== JSON.stringify(published().slice(0, count));
const disagreements = blocks.flatMap((block) => block.disagreements);
if (!isCheck) {
  const command = `npx tsx scripts/dev/analysis-seeds.ts ${count}`;
  writeFileSync(path, `${JSON.stringify({ command, blocks }, null, 2)}\n`);
}
if (differs) console.error("not as published");
for (const name of disagreements) console.error(`seed ${name}: proved, and it breaks in execution`);
process.exitCode = differs || disagreements.length > 0 ? 1 : 0;
