/**
 * The loops of a unit, folded from its journal: fields `l<latch>` of its hash. Of each the scope of
 * its round under way, `e` and the scope around it once it has ended.
 *
 * A round is alive while its loop is in it, and so is every loop around it: what happens in another
 * one is void.
 */
import type { Ir } from "../compiler/ir.ts";
import { loopChain } from "./scope.ts";

export class HotRounds extends Map<number, string> {
  /** Loops under way that count as a token of the unit. */
  open(ir: Ir): number {
    let count = 0;
    for (const [latch, round] of this) {
      const outer = loopChain(ir, latch).length === 1;
      count += outer && !round.startsWith("e") ? 1 : 0;
    }
    return count;
  }

  /** The rounds of `scope` begin that are not among its first `depth`, which are under way. */
  begin(scope: string, depth: number): void {
    const elements = elementsOf(scope);
    for (let i = depth; i < elements.length; i++) {
      const latch = Number(elements[i]?.split(":")[0]);
      this.set(latch, elements.slice(0, i + 1).join("/"));
    }
  }

  /** The loop is over, in this scope around it. */
  end(latch: number, scope: string): void {
    this.set(latch, `e${scope}`);
  }

  /** Whether the rounds that a token of this scope belongs to are alive. */
  isCurrent(scope: string): boolean {
    const elements = elementsOf(scope);
    return elements.every((element, i) => {
      const latch = Number(element.split(":")[0]);
      return this.get(latch) === elements.slice(0, i + 1).join("/");
    });
  }
}

/** The latch that went round: of loops that share a head the innermost past its first round. */
export function latchGone(scope: string, depth: number): number {
  const elements = scope.split("/").slice(depth).reverse();
  const [latch] = (elements.find((e) => !e.endsWith(":1")) ?? elements[0] ?? "-1").split(":");
  return Number(latch);
}

function elementsOf(scope: string): string[] {
  return scope === "" ? [] : scope.split("/");
}
