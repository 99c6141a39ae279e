/**
 * The structure on which the proofs stand, checked on the IR itself and not believed of the
 * compiler: an IR comes from a file, a database, a pass.
 *
 * Why it is enough. Edges lead from smaller to larger numbers, so by induction over the numbers
 * every node is decided: an entry at the start, another node when all its in-edges have their value,
 * and a node that is decided gives each of its out-edges one value, whether it ends or is skipped.
 * Loops stay within that: a body is entered only through its head and left only from its latch, all
 * of it leads to the latch, so each round is such a graph of its own with one end; and there are at
 * most `max_iterations` of them.
 */
import type { Ir, IrLoop, IrNode } from "../ir.ts";

/** A promise that an IR makes to those that run it. */
export type Claim =
  "no_deadlock" | "tokens_conserved" | "joins_decided" | "loops_bounded" | "runs_end";

export interface Defect {
  claim: Claim;
  /** Index of the node at which it shows. */
  node: number;
  message: string;
}

/** What is wrong with the structure; nothing for everything that the compiler makes. */
export function findDefects(ir: Ir): Defect[] {
  const verifier = new Verifier(ir);
  verifier.checkEdges();
  ir.nodes.forEach((node, index) => verifier.checkNode(node, index));
  ir.loops.forEach((loop, index) => verifier.checkLoop(loop, index));
  return verifier.defects;
}

class Verifier {
  readonly defects: Defect[] = [];
  readonly #ir: Ir;

  constructor(ir: Ir) {
    this.#ir = ir;
  }

  /** Each edge leads forward and is known, once, to both of its ends. */
  checkEdges(): void {
    const sent = new Array<number>(this.#ir.edges.length).fill(0);
    const taken = [...sent];
    this.#ir.nodes.forEach((node, index) => {
      for (const edge of node.out) {
        if (this.#ir.edges[edge]?.from === index) sent[edge] = (sent[edge] ?? 0) + 1;
        else this.#add("tokens_conserved", index, `sends on edge ${edge}, which is not its own`);
      }
      for (const edge of node.in) {
        if (this.#ir.edges[edge]?.to === index) taken[edge] = (taken[edge] ?? 0) + 1;
        else this.#add("joins_decided", index, `waits for edge ${edge}, which does not lead to it`);
      }
    });
    this.#ir.edges.forEach(({ from, to }, edge) => {
      const text = `the edge ${this.#id(from)} > ${this.#id(to)}`;
      if (from >= to) this.#add("no_deadlock", to, `${text} does not lead forward`);
      if (sent[edge] === 0) this.#add("joins_decided", to, `${text} never gets a value`);
      if ((sent[edge] ?? 0) > 1) this.#add("tokens_conserved", from, `${text} is sent twice`);
      if (taken[edge] === 0) this.#add("tokens_conserved", from, `${text} is received by nobody`);
      if ((taken[edge] ?? 0) > 1) this.#add("tokens_conserved", to, `${text} is counted twice`);
    });
  }

  checkNode(node: IrNode, index: number): void {
    const isEntry = node.in.length === 0;
    if (node.is_entry && !isEntry) {
      this.#add("tokens_conserved", index, "starts with the run and has in-edges besides");
    }
    if (!node.is_entry && isEntry) {
      this.#add("no_deadlock", index, "has no in-edges and does not start with the run");
    }
    if (node.is_terminal !== (node.out.length === 0)) {
      this.#add("tokens_conserved", index, "is marked as an end of the graph, or not, wrongly");
    }
    if (node.join.arity !== node.in.length) {
      const { arity } = node.join;
      this.#add("joins_decided", index, `counts ${arity} in-edges, there are ${node.in.length}`);
    }
    if (!Number.isInteger(node.join.need) || node.join.need < 0) {
      this.#add("joins_decided", index, `waits for ${node.join.need} arrivals`);
    }
    const attempts = node.retry.max_attempts;
    if (!Number.isInteger(attempts) || attempts < 1) {
      this.#add("runs_end", index, `has ${attempts} attempts`);
    }
  }

  checkLoop(loop: IrLoop, index: number): void {
    const { latch, head, max_iterations: rounds } = loop;
    if (!Number.isInteger(rounds) || rounds < 1) {
      this.#add("loops_bounded", latch, `has no limit for its rounds: ${rounds}`);
    }
    const body = new Set(loop.body);
    if (!body.has(head) || !body.has(latch)) {
      this.#add("no_deadlock", latch, "is the latch of a loop whose ends are not in its body");
      return;
    }
    for (const node of loop.body) {
      this.#checkMember(node, body, loop, index);
    }
    this.#checkNesting(body, loop, index);
  }

  #checkMember(node: number, body: ReadonlySet<number>, loop: IrLoop, index: number): void {
    const { in: incoming = [], out = [], loop: own = null } = this.#ir.nodes[node] ?? {};
    const enters = incoming.find((edge) => !body.has(this.#ir.edges[edge]?.from ?? -1));
    const leaves = out.find((edge) => !body.has(this.#ir.edges[edge]?.to ?? -1));
    if (enters !== undefined && node !== loop.head) {
      this.#add("no_deadlock", node, "is entered from outside of its loop: its rounds would wait");
    }
    if (leaves !== undefined && node !== loop.latch) {
      this.#add("tokens_conserved", node, "leaves its loop in the middle of a round");
    }
    if (incoming.length === 0 && node !== loop.head) {
      this.#add("no_deadlock", node, "is in a loop and nothing in it leads there");
    }
    const stays = out.some((edge) => body.has(this.#ir.edges[edge]?.to ?? -1));
    if (node !== loop.latch && !stays) {
      this.#add("joins_decided", node, "is in a loop and does not lead to its latch");
    }
    if (!this.#isInside(own, index)) {
      this.#add("tokens_conserved", node, "is in the body of a loop and does not know it");
    }
  }

  /** Loops are nested or apart, and the roles of their ends are written down. */
  #checkNesting(body: ReadonlySet<number>, loop: IrLoop, index: number): void {
    const { parent, head, latch } = loop;
    const around = parent === null ? undefined : this.#ir.loops[parent];
    if (parent !== null && (parent >= index || !around)) {
      this.#add("no_deadlock", latch, "has an enclosing loop that is not before it");
    }
    const members = around && new Set(around.body);
    if (members && ![...body].every((node) => members.has(node))) {
      this.#add("no_deadlock", latch, "is the latch of a loop that is half inside another");
    }
    if (this.#ir.nodes[head]?.head_of.includes(index) !== true) {
      this.#add("no_deadlock", head, "is the head of a loop and does not know it");
    }
    if (this.#ir.nodes[latch]?.latch_of !== index) {
      this.#add("loops_bounded", latch, "is the latch of a loop and does not know it");
    }
  }

  #isInside(own: number | null, loop: number): boolean {
    for (let at = own; at !== null; at = this.#ir.loops[at]?.parent ?? null) {
      if (at === loop) return true;
      // A parent that is not before its child was reported; here it must not be followed for ever.
      if ((this.#ir.loops[at]?.parent ?? -1) >= at) return false;
    }
    return false;
  }

  #add(claim: Claim, node: number, message: string): void {
    this.defects.push({ claim, node, message });
  }

  #id(node: number): string {
    return this.#ir.nodes[node]?.id ?? String(node);
  }
}
