/**
 * Whether what somebody pauses is there at all. In an incident a misspelt name looks like a stop, so it
 * is told; the pause stands all the same, because it may be of what comes.
 */
import { nearestName } from "../condition/suggest.ts";
import {
  definitionByRef,
  listDefinitions,
  listWorkers,
  queuesByHash,
  type Queryable,
} from "./postgres/index.ts";

/** Newest workflows, of which names may be meant; and those that are asked which queues they use. */
const NAMES_MAX = 1000;
const ASKED_MAX = 200;
const NAMESPACE = /^ns:[^:]+:/;

/** What to say of a workflow, or a version of it, that is not stored; null: it is. */
export async function unknownWorkflow(
  db: Queryable,
  { name, version }: { name: string; version?: string },
): Promise<string | null> {
  if ((await definitionByRef(db, name, null)) === null) {
    const names = (await listDefinitions(db, NAMES_MAX)).map((one) => one.name);
    return `no workflow ${name} is stored${meant(name, names)}; it is paused for those that come`;
  }
  if (version === undefined || (await definitionByRef(db, name, version))?.version === version) {
    return null;
  }
  const named = (await listDefinitions(db, NAMES_MAX)).filter((one) => one.name === name);
  const near = meant(version, new Set(named.map((one) => one.version ?? "")));
  return `no version ${version} of workflow ${name} is stored${near}; it is paused for those that come`;
}

/** The same of a queue that no worker reads and no stored workflow uses. */
export async function unknownQueue(db: Queryable, queue: string): Promise<string | null> {
  const served = (await listWorkers(db)).flatMap(({ queues }) => queues);
  const hashes = (await listDefinitions(db, ASKED_MAX)).map(({ hash }) => hash);
  const [namespace = ""] = NAMESPACE.exec(queue) ?? [];
  const used = [...(await queuesByHash(db, hashes)).values()].flat();
  const known = new Set([...served, ...used.map((name) => namespace + name)]);
  const nobody = `no worker reads queue ${queue}, nor does a stored workflow use it`;
  return known.has(queue) ? null : `${nobody}${meant(queue, known)}; it is paused all the same`;
}

/** The stored workflow, or version of it, that a reference which names none may mean; else "". */
export async function meantRef(db: Queryable, ref: string): Promise<string> {
  const [name = "", version] = ref.split("@");
  const stored = await listDefinitions(db, NAMES_MAX);
  const ofName = stored.filter((one) => one.name === name);
  return version === undefined || ofName.length === 0
    ? meant(name, new Set(stored.map((one) => one.name)))
    : meant(version, new Set(ofName.map((one) => one.version ?? "")));
}

function meant(name: string, names: Iterable<string>): string {
  const near = nearestName(name, names);
  return near === undefined ? "" : ` (did you mean ${near}?)`;
}
