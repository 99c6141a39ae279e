/** Where the floor program keeps what it has, and what its parts are told. */
import type { Shape } from "../workloads.ts";

export const EV = "floor:ev";
export const QUEUE = "floor:q";
export const GROUP = "workers";
export const SEPARATOR = "\x1f";

export function runKey(id: string): string {
  return `floor:run:${id}`;
}

/** What the floor's processes get from the bench. */
export interface FloorOptions {
  redisUrl: string;
  databaseUrl: string;
  singleSession: boolean;
  shape: Shape;
  /** Text of complete.lua. */
  script: string;
}

/** Per node: its successors, and how many arrivals each waits for. */
export function successorsOf(shape: Shape): [node: number, need: number][][] {
  const need = new Array<number>(shape.steps).fill(0);
  shape.edges.forEach(([, to]) => (need[to] = (need[to] ?? 0) + 1));
  return Array.from({ length: shape.steps }, (_, node) =>
    shape.edges.filter(([from]) => from === node).map(([, to]) => [to, need[to] ?? 1]),
  );
}
