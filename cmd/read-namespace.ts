/** The option that names a namespace, for commands that run steps or have them run. */
import { GavotteError, NAMESPACE_SHAPE, namespaceNamed } from "../sdk/internal.ts";

/** `--namespace`: as it stands before the names of queues. Throws GV_BAD_INPUT. */
export function readNamespace(name: string): string {
  const found = namespaceNamed(name);
  if (found === null) {
    throw new GavotteError("GV_BAD_INPUT", `--namespace "${name}": it takes ${NAMESPACE_SHAPE}`);
  }
  return found;
}
