/**
 * Large values - outputs, and what is given to a run from outside: kept once per run by their
 * content's hash, and named by a reference wherever the value would stand - in the run's hash, in
 * the journal, in what travels with a token.
 *
 * A reference is JSON like any value, so nobody on the way needs to know: scripts, folds and
 * archives pass it on. Only who needs the inside resolves it, and checks it against its hash. A
 * value that looks like a reference by itself is made a blob, whatever its size: so every
 * reference that is read is one of ours.
 *
 * The blobs of a run are one hash, and go with the run. A worker writes those of outputs before it
 * settles the token, and only while the run lives (scripts/put_blobs.lua); what is given goes with
 * the script that takes it. The archiver copies them into Postgres in the transaction that archives
 * the reference; what a run begins with is there before its row is committed.
 */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { Json } from "../compiler/ir.ts";
import type { ScriptRunner } from "./redis/script-runner.ts";
import { runEpoch } from "./unit.ts";

/** Values up to this many bytes of JSON stand where they are. */
export const OUTPUT_INLINE_BYTES_MAX = 16 * 1024;

export interface BlobRef {
  sha256: string;
  bytes: number;
}

const KEY = "$gv:blob";
const PREFIX = `{"${KEY}":`;
const REF_TEXT = /^\{"\$gv:blob":"([0-9a-f]{64}):(\d+)"\}$/;

const REFS = /\{"\$gv:blob":"[0-9a-f]{64}:(\d+)"\}/g;

/** A blob is gone, or is not what its hash says. `code` is that of the node that needed it. */
export class BlobError extends Error {
  override readonly name = "BlobError";
  readonly code: "BLOB_MISSING" | "BLOB_DAMAGED";
  readonly retryable: boolean;

  constructor(code: BlobError["code"], ref: BlobRef) {
    const what =
      code === "BLOB_MISSING"
        ? "is not there: Redis has lost it, or its run was released"
        : "is not what its hash says: it was changed by hand, or damaged";
    super(`a stored value of ${ref.bytes} bytes (sha256 ${ref.sha256}) ${what}`);
    this.code = code;
    this.retryable = code === "BLOB_MISSING";
  }
}

/** Whether this JSON text has to become a blob. */
export function isBlobSized(text: string): boolean {
  return (
    text.startsWith(PREFIX) ||
    text.length > OUTPUT_INLINE_BYTES_MAX ||
    (text.length * 3 > OUTPUT_INLINE_BYTES_MAX && Buffer.byteLength(text) > OUTPUT_INLINE_BYTES_MAX)
  );
}

/** The reference of a JSON text, by its content. */
export function blobRefOf(text: string): BlobRef {
  const sha256 = createHash("sha256").update(text).digest("hex");
  return { sha256, bytes: Buffer.byteLength(text) };
}

/** A reference as it stands in place of an output. */
export function blobText({ sha256, bytes }: BlobRef): string {
  return `${PREFIX}"${sha256}:${bytes}"}`;
}

/** The reference that this JSON text is, or null if it is an output. */
export function parseBlobText(text: string): BlobRef | null {
  const match = text.startsWith(PREFIX) ? REF_TEXT.exec(text) : null;
  return match === null ? null : { sha256: match[1] as string, bytes: Number(match[2]) };
}

/** Bytes of all that a text refers to; what only looks like a reference counts as well. */
export function blobBytesIn(text: string): number {
  let bytes = 0;
  if (text.includes(PREFIX)) {
    for (const [, size] of text.matchAll(REFS)) {
      bytes += Number(size);
    }
  }
  return bytes;
}

/** Whether this text is a reference. */
export function isBlobText(text: string | null): boolean {
  return text !== null && parseBlobText(text) !== null;
}

/** The reference that this value is, or null. */
export function blobOfValue(value: Json | undefined): BlobRef | null {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject && Object.hasOwn(value, KEY) ? parseBlobText(JSON.stringify(value)) : null;
}

/** `text` if it is what the reference says. Throws BlobError. */
export function checkBlob(ref: BlobRef, text: string | null | undefined): string {
  if (text === null || text === undefined) {
    throw new BlobError("BLOB_MISSING", ref);
  }
  if (blobRefOf(text).sha256 !== ref.sha256) {
    throw new BlobError("BLOB_DAMAGED", ref);
  }
  return text;
}

/** A JSON text as a value; a reference that nobody resolved is an error. */
export function parseOutput(text: string): Json {
  const ref = parseBlobText(text);
  if (ref !== null) {
    throw new BlobError("BLOB_MISSING", ref);
  }
  return JSON.parse(text) as Json;
}

/** What an output's text stands for, from the run's blobs. Throws BlobError. */
export async function readBlob(redis: Redis, blobsKey: string, text: string): Promise<string> {
  const ref = parseBlobText(text);
  return ref === null ? text : checkBlob(ref, await redis.hget(blobsKey, ref.sha256));
}

export interface NewBlob {
  sha256: string;
  text: string;
}

/** Takes what is large out of what is given, and leaves references. */
export class BlobTaker {
  /** What was taken out, each content once. */
  readonly blobs: NewBlob[] = [];

  /** The JSON text, or the reference to the blob that it has become. */
  text(text: string): string {
    if (!isBlobSized(text)) {
      return text;
    }
    const ref = blobRefOf(text);
    if (!this.blobs.some(({ sha256 }) => sha256 === ref.sha256)) {
      this.blobs.push({ sha256: ref.sha256, text });
    }
    return blobText(ref);
  }

  /** The same of a value. */
  value(value: Json): Json {
    const text = JSON.stringify(value);
    const taken = this.text(text);
    return taken === text ? value : (JSON.parse(taken) as Json);
  }

  /** This key for a script if it has any to write there. */
  keys(blobsKey: string): string[] {
    return this.blobs.length === 0 ? [] : [blobsKey];
  }

  /** SHA-256 and text of each, as scripts take them. */
  pairs(): string[] {
    return this.blobs.flatMap(({ sha256, text }) => [sha256, text]);
  }
}

/** Longer ones than this go in a call of their own. */
const CALL_CHARS_MAX = 4 * 1024 * 1024;

/**
 * Keeps blobs with the run of a token that refers to them, which is of this partition. Those of a
 * run that has ended are not kept: what would refer to them is refused as well. Many large ones are
 * many calls: a client makes one string of a call, and Redis does nothing else meanwhile.
 */
export async function putBlobs(
  scripts: ScriptRunner,
  token: { runId: string; epoch: string },
  blobs: readonly NewBlob[],
): Promise<void> {
  const { keys: k } = scripts;
  const keys = [k.meta, k.run(token.runId), k.blobs(token.runId)];
  for (const call of callsOf(blobs)) {
    const pairs = call.flatMap(({ sha256, text }) => [sha256, text]);
    await scripts.transition("putBlobs", keys, [runEpoch(token.epoch), ...pairs]);
  }
}

/** Blobs as they go together in calls, in their order. */
function callsOf(blobs: readonly NewBlob[]): NewBlob[][] {
  const calls: NewBlob[][] = [];
  let chars = Infinity;
  for (const blob of blobs) {
    if (chars + blob.text.length > CALL_CHARS_MAX) {
      calls.push([]);
      chars = 0;
    }
    calls.at(-1)?.push(blob);
    chars += blob.text.length;
  }
  return calls;
}
