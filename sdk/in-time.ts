/** Waiting for one server of several, but not for ever. */

/** What `promise` gives, or `late` when it takes longer than `ms`; what it fails with later is lost. */
export async function inTime<T>(promise: Promise<T>, ms: number, late: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<T>((resolve) => (timer = setTimeout(() => resolve(late), ms)));
  promise.catch(() => undefined); // after the limit nobody listens
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}
