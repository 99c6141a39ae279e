/** Bounds of a workflow document. Options of `compile` may change those in `Limits`. */
export interface Limits {
  nodes: number;
  edges: number;
  /** UTF-8 bytes of the text. */
  bytes: number;
  /** Nesting of lists and objects. */
  depth: number;
  /** In-edges, out-edges or entry nodes beyond this are split by a tree. Small ones are for tests. */
  fan: number;
}

/** What one script call handles at once. */
const FAN_MAX = 500;

export const DEFAULT_LIMITS: Limits = {
  nodes: 10_000,
  edges: 50_000,
  bytes: 1_048_576,
  depth: 64,
  fan: FAN_MAX,
};

/** Loops within loops. A token's scope has one part per level. */
export const LOOP_DEPTH_MAX = 16;

/** Maps within maps, by the same argument. */
export const MAP_DEPTH_MAX = 16;

/** Nodes of the branches that a join may cancel: what one script call looks at for it. */
export const LOSERS_MAX = 1000;
