/**
 * Deleting ended runs, page by page: what Postgres says is old enough, less what Redis still has. A
 * run whose keys are not released yet is found for release by its row, so the row waits for that.
 */
import type { Redis } from "ioredis";
import { partitionKeys, partitionOf } from "../sdk/internal.ts";
import {
  deleteTrees,
  endedRoots,
  endedTrees,
  FIRST_RUN,
  type Database,
  type EndedTree,
  type RetentionRule,
  type RunCursor,
} from "../sdk/postgres/index.ts";

export interface PruneContext {
  redis: Redis;
  db: Database;
  partitions: number;
}

/** What a page came to. */
export interface PrunedPage {
  /** Roots that were deleted, or would be. */
  trees: number;
  /** Runs of these trees. */
  runs: number;
  /** Ended roots whose trees stay: something in them is open, younger, or still in Redis. */
  kept: number;
  /** Where the next page begins; null: this was the last. */
  next: RunCursor | null;
}

/** Trees of one page, and so of one transaction. */
const PAGE = 100;

/**
 * Looks at a page of ended runs, oldest first, and deletes the trees that are old enough; with
 * `isDryRun` it only counts them. Repeating it is harmless, also by several at one time.
 */
export async function prunePage(
  context: PruneContext,
  rule: RetentionRule,
  after: RunCursor = FIRST_RUN,
  isDryRun = false,
): Promise<PrunedPage> {
  const { db } = context;
  const roots = await endedRoots(db, rule, after, PAGE);
  const old = await endedTrees(
    db,
    rule,
    roots.map(({ id }) => id),
  );
  const released = await Promise.all(old.map((tree) => isReleased(context, tree)));
  const trees = old.filter((_, i) => released[i]);
  const names = trees.map(({ root }) => root);
  const runs = isDryRun ? trees.flatMap(({ ids }) => ids) : await deleteTrees(db, rule, names);
  const gone = runs.filter((id) => !id.includes("~")).length;
  return {
    ...{ trees: gone, runs: runs.length, kept: roots.length - gone },
    next: roots.length < PAGE ? null : (roots.at(-1) ?? null),
  };
}

async function isReleased({ redis, partitions }: PruneContext, tree: EndedTree): Promise<boolean> {
  const keys = partitionKeys(partitionOf(tree.root, partitions));
  const found = await Promise.all(tree.ids.map((id) => redis.exists(keys.run(id))));
  return found.every((count) => count === 0);
}
