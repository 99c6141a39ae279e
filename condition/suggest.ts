/**
 * "Did you mean": the name nearest to a misspelt one. Of everybody who reads names that people
 * type; a face of its own, since it needs nothing of the expression language.
 */

/** Longer names are compared by nobody: the table grows with both lengths. */
const LENGTH_MAX = 100;

/** The candidate at most a third of the name's letters away, or undefined. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > LENGTH_MAX) return undefined;
  let best: string | undefined;
  // Of a single letter nothing would be left that could tell what is meant.
  const distanceMax = Math.min(Math.max(1, Math.floor(name.length / 3)), name.length - 1);
  let bestDistance = distanceMax + 1;
  for (const candidate of candidates) {
    // The length alone says that it is too far: no need to fill the table.
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make `a` into `b`. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const above = rows[i - 1] ?? [];
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + cost);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) least = Math.min(least, (rows[i - 2]?.[j - 2] ?? 0) + 1);
      row.push(least);
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] ?? 0;
}
