/** What both processes of this peer share. */

/** Settings of the bench: {path, db, output}. */
export const settings = JSON.parse(process.argv[2]);
export const QUEUE = "bench";
export const connection = { path: settings.path, db: settings.db, maxRetriesPerRequest: null };
/** Nothing is kept of what has ended: Gavotte's Redis keeps nothing either. */
export const REMOVE = { removeOnComplete: true, removeOnFail: true };

/**
 * A run as a flow. Flows are trees in which children come first, so a chain is one nested flow. A
 * fan-out begins with a step of its own, and a tree cannot say "after that one step": its handler
 * adds the flow of the branches and their join.
 */
export function flowOf(shape) {
  const fans = shape.edges.filter(([from]) => from === 0).length > 1;
  return fans ? { name: "fan", queueName: QUEUE, data: { branches: shape.steps - 2 }, opts: REMOVE }
    : chainOf(shape.steps);
}

function chainOf(steps) {
  let flow;
  for (let i = 0; i < steps; i++) {
    const name = i === steps - 1 ? "last" : "step";
    flow = { name, queueName: QUEUE, data: {}, opts: REMOVE, ...(flow ? { children: [flow] } : {}) };
  }
  return flow;
}

/** The branches and their join. */
export function branchesOf(count) {
  const children = Array.from({ length: count }, () => ({
    name: "step", queueName: QUEUE, data: {}, opts: REMOVE,
  }));
  return { name: "last", queueName: QUEUE, data: {}, opts: REMOVE, children };
}
