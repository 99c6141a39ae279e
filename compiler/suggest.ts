/**
 * "Did you mean": the nearest of some known names.
 *
 * Distance counts insertions, deletions, replacements and swaps of neighbours; a third of the
 * letters may be wrong. Names that other tools use for the same thing are found by a table instead:
 * `source` is nowhere near `from`.
 */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  source: ["from"],
  target: ["to"],
  dependencies: ["edges"],
  depends_on: ["edges"],
  when: ["condition"],
  if: ["condition"],
  expression: ["condition", "filter_expression"],
  time_out: ["timeout_ms"],
  timeout: ["timeout_ms"],
  timeout_seconds: ["timeout_ms"],
  retries: ["retry"],
  retry_policy: ["retry"],
  max_retries: ["retry", "max_attempts"],
  attempts: ["max_attempts"],
  backoff: ["backoff_ms"],
  kind: ["type"],
  name: ["id"],
  function: ["function_name"],
  handler: ["function_name"],
  next: ["next_nodes"],
  steps: ["nodes"],
  links: ["edges"],
  connections: ["edges"],
};

/** A hint for a misspelt `name`, or undefined if nothing is near. */
export function didYouMean(name: string, known: Iterable<string>): string | undefined {
  const found = nearest(name, [...known]);
  return found === undefined ? undefined : `did you mean \`${found}\`?`;
}

function nearest(name: string, known: readonly string[]): string | undefined {
  const synonyms = Object.hasOwn(SYNONYMS, name.toLowerCase())
    ? (SYNONYMS[name.toLowerCase()] ?? [])
    : [];
  const synonym = synonyms.find((candidate) => known.includes(candidate));
  if (synonym !== undefined) return synonym;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    // The length alone says that it is too far: no need to fill the table.
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const cell = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(cell(i - 1, j) + 1, cell(i, j - 1) + 1, cell(i - 1, j - 1) + cost);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) least = Math.min(least, cell(i - 2, j - 2) + 1);
      rows[i]?.push(least);
    }
  }
  return cell(a.length, b.length);
}
