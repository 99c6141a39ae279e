/**
 * Runs put back from their archived journals: each folded into the hot state that Redis had, under the
 * next run epoch, and written as one.
 *
 * A run is written only as `writeOf` allows: not once somebody else has begun it anew. However many
 * there are, of their journals no more is held at one time than JOURNALS_BYTES_MAX.
 */
import type { Ir } from "../compiler/ir.ts";
import {
  connectionAt,
  isBlobText,
  partitionKeys,
  redisTimeMs,
  type Profiles,
  type RunProfile,
} from "../sdk/internal.ts";
import {
  isValueFault,
  journalPages,
  journalSizes,
  portions,
  raiseRunEpochs,
  readJournals,
  type ArchivedTransition,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { boundHashes } from "./bindings.ts";
import { blobsIn, restoreBlobs } from "./blobs.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { childrenAwaited, putBackEnded } from "./ended-children.ts";
import { Superseded, type Write } from "./guarded.ts";
import { publishIrs } from "./publish.ts";
import { releaseMapsOf } from "./release-maps.ts";
import { foldPages, writeRun } from "./write-run.ts";
import { CommandList } from "./writer.ts";

const RUNS_AT_ONCE = 50;
/** Bytes of journals that are held at one time; one that has more by itself is folded by pages. */
const JOURNALS_BYTES_MAX = 8 * 1024 * 1024;

/** A run whose workflow nobody stored. */
export class NotStored extends Error {
  constructor(hash: string) {
    super(`its definition ${hash} is not stored`);
  }
}

/** What became of rows. */
export interface Rebuilt {
  rebuilt: number;
  /** Why, by id: runs that cannot be put back as they are. */
  failed: Map<string, unknown>;
  /** Of runs that somebody else puts back meanwhile. */
  outdone: Superseded[];
}

export interface Manner {
  profiles: Profiles;
  /** How what is of this run is written. */
  writeOf: (row: RunRow) => Write;
}

/**
 * Puts runs back, those that have a journal. Their epochs are raised before anything is written; what
 * one run says fails for that run alone.
 */
export async function rebuildRows(
  context: SupervisorContext,
  partition: number,
  rows: readonly RunRow[],
  { profiles, writeOf }: Manner,
): Promise<Rebuilt> {
  const failed: Rebuilt["failed"] = new Map();
  const outdone: Superseded[] = [];
  let rebuilt = 0;
  const fail = (run: string, error: unknown): void => {
    failed.set(run, error);
    const message =
      "a run cannot be put back from its journal: it stands still, and is tried again";
    context.logger.error({ err: error, partition, run }, message);
  };
  const sizes = await journalSizes(
    context.db,
    rows.map(({ id }) => id),
  );
  const bound = new Set(rows.flatMap((row) => boundHashes(row.bindings)));
  const hashes = new Set([...rows.map((row) => row.irHash), ...bound]);
  const irs = await readable([...hashes], (some) => context.irs.load(some));
  const started = rows.filter(({ id }) => sizes.has(id));
  const known = started.filter((row) => irs.has(row.irHash));
  for (const row of started.filter((one) => !irs.has(one.irHash))) {
    fail(row.id, new NotStored(row.irHash));
  }
  await publishIrs(context, irs.values());
  await raiseRunEpochs(
    context.db,
    known.map((row) => row.id),
  );
  const nowMs = await redisTimeMs(scriptsOf(context, partition));
  const one = async (row: RunRow, pages: Pages): Promise<void> => {
    const { ir } = irs.get(row.irHash) as { ir: Ir };
    const place = { partition, namespace: row.namespace, priority: row.priority };
    const profile = profiles.add(ir, row.irHash, place);
    try {
      await rebuildRun(context, profile, row, { pages, nowMs, write: writeOf(row) });
      rebuilt += 1;
    } catch (error) {
      if (error instanceof Superseded) {
        outdone.push(error);
      } else if (isValueFault(error)) {
        fail(row.id, error);
      } else {
        throw error;
      }
    }
  };
  const bytesOf = ({ id }: RunRow): number => sizes.get(id) ?? 0;
  for (const part of portions(known, bytesOf, JOURNALS_BYTES_MAX)) {
    const [first] = part;
    if (first !== undefined && bytesOf(first) > JOURNALS_BYTES_MAX) {
      await one(first, journalPages(context.db, first.id));
      continue;
    }
    const ids = part.map(({ id }) => id);
    const journals = await readable(ids, (some) => readJournals(context.db, some), fail);
    const read = part.filter(({ id }) => journals.has(id));
    // They touch nothing of one another, and most of each is waiting for an answer.
    for (let from = 0; from < read.length; from += RUNS_AT_ONCE) {
      const some = read.slice(from, from + RUNS_AT_ONCE);
      await Promise.all(some.map((row) => one(row, [journals.get(row.id) ?? []])));
    }
  }
  return { rebuilt, failed, outdone };
}

type Pages = AsyncIterable<ArchivedTransition[]> | Iterable<ArchivedTransition[]>;

/**
 * What is read by these names, all in one; if values of some make that fail, one by one, and `fail` is
 * told of those.
 */
async function readable<T>(
  names: readonly string[],
  read: (some: readonly string[]) => Promise<Map<string, T>>,
  fail?: (name: string, error: unknown) => void,
): Promise<Map<string, T>> {
  try {
    return await read(names);
  } catch (error) {
    if (!isValueFault(error)) {
      throw error;
    }
    if (names.length === 1) {
      fail?.(names[0] as string, error);
      return new Map();
    }
  }
  const found = new Map<string, T>();
  for (const name of names) {
    (await readable([name], read, fail)).forEach((one, key) => found.set(key, one));
  }
  return found;
}

async function rebuildRun(
  context: SupervisorContext,
  profile: RunProfile,
  row: RunRow,
  { pages, nowMs, write }: { pages: Pages; nowMs: number; write: Write },
): Promise<void> {
  const { partition } = profile;
  let hasBlobs = isBlobText(row.input);
  const state = await foldPages(
    profile,
    seen(pages, (page) => {
      hasBlobs ||= page.some(({ transition }) => blobsIn(transition).length > 0);
    }),
  );
  if (hasBlobs) {
    await restoreBlobs(context.db, write, partition, row.id);
  }
  const children = childrenAwaited(state);
  if (children.length > 0) {
    await putBackEnded(context, partition, children, write);
  }
  const keys = partitionKeys(partition);
  await releaseMapsOf(connectionAt(context.redis, keys.meta), keys, [row.id], write);
  const list = new CommandList();
  writeRun(list, profile, { ...row, epoch: row.epoch + 1 }, state, nowMs);
  await write(list.commands);
}

async function* seen(
  pages: Pages,
  see: (page: ArchivedTransition[]) => void,
): AsyncGenerator<ArchivedTransition[]> {
  for await (const page of pages) {
    see(page);
    yield page;
  }
}
