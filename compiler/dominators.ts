/**
 * Dominators of a graph without cycles: the nodes through which every path from the start leads.
 *
 * In topological order one pass is enough (the iteration of Cooper, Harvey and Kennedy is for
 * cycles): a node's immediate dominator is the nearest common ancestor, in the tree built so far,
 * of its predecessors. Each tree node also keeps one far "jump" ancestor (Myers' skew-binary
 * jumps), which makes finding it logarithmic: plain climbing is quadratic on a long chain with
 * shortcuts.
 *
 * Node 0 stands for the start of the run; callers number their nodes from 1.
 */
export interface Dominators {
  /** Immediate dominator by node; 0 for 0. */
  parent: Int32Array;
  /** Whether each path from the start to `b` leads through `a` (a node dominates itself). */
  dominates(a: number, b: number): boolean;
  /** The nearest node that dominates both. */
  common(a: number, b: number): number;
}

/** Dominators of nodes 1..count; `predecessors(v)` are smaller than v; none means the start. */
export function buildDominators(
  count: number,
  predecessors: (node: number) => readonly number[],
): Dominators {
  const tree = new JumpTree(count + 1);
  for (let node = 1; node <= count; node++) {
    const [first = 0, ...others] = predecessors(node);
    tree.attach(
      node,
      others.reduce((a, b) => tree.common(a, b), first),
    );
  }
  return tree;
}

class JumpTree implements Dominators {
  readonly parent: Int32Array;
  readonly #depth: Int32Array;
  readonly #jump: Int32Array;

  constructor(size: number) {
    this.parent = new Int32Array(size);
    this.#depth = new Int32Array(size);
    this.#jump = new Int32Array(size);
  }

  attach(node: number, parent: number): void {
    const depth = this.#depth;
    const near = this.#jump[parent] ?? 0;
    const far = this.#jump[near] ?? 0;
    const at = (n: number): number => depth[n] ?? 0;
    this.parent[node] = parent;
    depth[node] = at(parent) + 1;
    // Two equal jumps in a row are merged into one of twice the length.
    const isEqual = at(parent) - at(near) === at(near) - at(far);
    this.#jump[node] = isEqual ? far : parent;
  }

  common(a: number, b: number): number {
    let [x, y] = (this.#depth[a] ?? 0) >= (this.#depth[b] ?? 0) ? [a, b] : [b, a];
    x = this.#climb(x, this.#depth[y] ?? 0);
    while (x !== y) {
      const [jx, jy] = [this.#jump[x] ?? 0, this.#jump[y] ?? 0];
      // Both are equally deep, and so are their jumps.
      [x, y] = jx === jy ? [this.parent[x] ?? 0, this.parent[y] ?? 0] : [jx, jy];
    }
    return x;
  }

  dominates(a: number, b: number): boolean {
    const depth = this.#depth[a] ?? 0;
    return depth <= (this.#depth[b] ?? 0) && this.#climb(b, depth) === a;
  }

  #climb(node: number, depth: number): number {
    let at = node;
    while ((this.#depth[at] ?? 0) > depth) {
      const jump = this.#jump[at] ?? 0;
      at = (this.#depth[jump] ?? 0) >= depth ? jump : (this.parent[at] ?? 0);
    }
    return at;
  }
}
