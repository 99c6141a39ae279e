/**
 * Large values that runs begin with: named in their rows, stored beside them, and put into Redis with
 * the start. Hardly any run has one, and nothing is read for those without.
 */
import { blobRefsIn, parseBlobText, type BlobRef, type RunStart } from "../sdk/internal.ts";
import { readBlobs, type Queryable } from "../sdk/postgres/index.ts";

const NONE_LARGE: readonly BlobRef[] = [];

/** The large values that a run begins with. */
export function largeOf({
  input,
  start = null,
}: Pick<RunStart, "input" | "start">): readonly BlobRef[] {
  const ref = parseBlobText(input);
  const given =
    start === null ? NONE_LARGE : blobRefsIn(Object.entries(JSON.parse(start) as object));
  return ref === null ? given : [ref, ...given];
}

/** The same runs, those that begin with large values with their texts. */
export async function withLarge(db: Queryable, runs: RunStart[]): Promise<RunStart[]> {
  const refs = runs.map((run) => largeOf(run).map(({ sha256 }) => sha256));
  if (refs.every(({ length }) => length === 0)) {
    return runs;
  }
  const texts = await readBlobs(db, [...new Set(refs.flat())]);
  return runs.map((run, i) => {
    const blobs = (refs[i] ?? []).flatMap((sha256) => {
      const text = texts.get(sha256);
      return text === undefined ? [] : [{ sha256, text }];
    });
    return blobs.length === 0 ? run : { ...run, blobs };
  });
}
