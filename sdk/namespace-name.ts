/** Namespaces as people name them, and as they stand before the names of queues. */

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const PREFIX = /^ns:([A-Za-z0-9_-]{1,64}):$/;

/** What a namespace must look like, for those who name one otherwise. */
export const NAMESPACE_SHAPE = "letters, digits, _ and -, 64 at most, as <id> or ns:<id>:";

/**
 * `blue` and `ns:blue:` are the same: the name, and what runs and queues have. Null: it is no name; it
 * becomes a part of the names of queues, so nothing else may be in it.
 */
export function namespaceNamed(name: string): string | null {
  return PREFIX.test(name) ? name : NAME.test(name) ? `ns:${name}:` : null;
}
