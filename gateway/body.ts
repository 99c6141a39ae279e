/**
 * Reading the body of a request: JSON, or a file's text, in UTF-8, bounded.
 *
 * What is too much is read on and not kept, so that the answer is heard: who still sends when the
 * connection is closed hears of a lost connection, and not why. Beyond READ_ON_BYTES_MAX he does.
 *
 * A body is kept in one piece, as long as what has come of it: a sender may cut it into single bytes,
 * and each piece as it comes takes a hundred times as much.
 */
import type { IncomingMessage } from "node:http";
import type { Json } from "../compiler/ir.ts";
import { parseJson } from "../condition/json-text.ts";
import { GavotteError, type ErrorCode } from "../sdk/internal.ts";

const READ_ON_BYTES_MAX = 64 * 1024 * 1024;

const EMPTY = Buffer.alloc(0);
const FIRST_BYTES = 1024;

/**
 * What a number of bodies may take together while they are read. Who sends without end takes it from
 * others: so when there is no more, the one that began first is given up, not the one that comes.
 */
export class Room {
  readonly #bytesMax: number;
  /** In the order in which they began. */
  readonly #bodies = new Set<Body>();
  #bytes = 0;

  constructor(bytesMax = Infinity) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes that are kept now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Appends a piece to a body, which may be given up then. */
  add(body: Body, piece: Buffer): void {
    const needed = body.length + piece.length;
    if (needed > body.kept.length) {
      const longer = Buffer.allocUnsafeSlow(Math.max(needed, 2 * body.kept.length, FIRST_BYTES));
      body.kept.copy(longer, 0, 0, body.length);
      this.#bytes += longer.length - body.kept.length;
      body.kept = longer;
      this.#bodies.add(body);
    }
    piece.copy(body.kept, body.length);
    body.length = needed;
    for (const oldest of this.#bodies) {
      if (this.#bytes <= this.#bytesMax) break;
      this.remove(oldest);
      oldest.giveUp();
    }
  }

  /** What is kept of a body is no more. */
  remove(body: Body): void {
    if (this.#bodies.delete(body)) {
      this.#bytes -= body.kept.length;
      body.kept = EMPTY;
    }
  }
}

/** A body of which not everything has come. */
interface Body {
  kept: Buffer;
  length: number;
  /** There is no room for it. */
  giveUp(): void;
}

/**
 * The value of a body; `undefined` for an empty one. Throws `tooLarge`, GV_BAD_INPUT, GV_GATEWAY_BUSY
 * where `room` has no more.
 */
export async function readJson(
  request: IncomingMessage,
  bytesMax: number,
  tooLarge: ErrorCode,
  room = new Room(),
): Promise<Json | undefined> {
  const content = await readWhole(request, bytesMax, tooLarge, room);
  try {
    const text = decoded(content);
    return text === "" ? undefined : parseJson(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (error instanceof RangeError) throw new GavotteError("GV_BAD_INPUT", `the body has ${why}`);
    throw new GavotteError("GV_BAD_INPUT", `the body is not JSON in UTF-8: ${why}`);
  }
}

/** The text of a body. Throws as `readJson`. */
export async function readText(
  request: IncomingMessage,
  bytesMax: number,
  tooLarge: ErrorCode,
): Promise<string> {
  const content = await readWhole(request, bytesMax, tooLarge, new Room());
  try {
    return decoded(content);
  } catch {
    throw new GavotteError("GV_BAD_INPUT", "the body is not UTF-8");
  }
}

async function readWhole(
  request: IncomingMessage,
  bytesMax: number,
  tooLarge: ErrorCode,
  room: Room,
): Promise<Buffer> {
  const { content, bytes } = await readBytes(request, bytesMax, room);
  if (bytes > bytesMax) {
    const message = `the body has ${bytes} bytes, at most ${bytesMax} are taken`;
    throw new GavotteError(tooLarge, message);
  }
  return content;
}

/** Decoded leniently it would be another text than was sent. */
function decoded(content: Buffer): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(content);
}

/** Does something with the value of a body. JSON is read at any depth, and not written again at any. */
export async function passOn<T>(pass: () => Promise<T>): Promise<T> {
  try {
    return await pass();
  } catch (error) {
    if (error instanceof RangeError && error.message.includes("call stack")) {
      const message = "the body is nested too deeply to be passed on; make it flatter";
      throw new GavotteError("GV_BAD_INPUT", message, { cause: error });
    }
    throw error;
  }
}

/** `content`: none of a body that is too large, or given up. */
function readBytes(
  request: IncomingMessage,
  bytesMax: number,
  room: Room,
): Promise<{ content: Buffer; bytes: number }> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    let isKept = true;
    const giveUp = (): void => {
      isKept = false;
      const message = "too many bodies come in at this gateway, this one slowly; try again later";
      reject(new GavotteError("GV_GATEWAY_BUSY", message));
    };
    const body: Body = { kept: EMPTY, length: 0, giveUp };
    const over = (): Buffer => {
      const content = body.kept.subarray(0, body.length);
      room.remove(body);
      isKept = false;
      return content;
    };
    request.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > bytesMax) {
        over();
        void (bytes > bytesMax + READ_ON_BYTES_MAX && request.destroy());
      } else if (isKept) {
        room.add(body, piece);
      }
    });
    request.on("end", () => resolve({ content: over(), bytes }));
    request.on("error", reject);
    request.on("close", () => {
      over();
      reject(new GavotteError("GV_BAD_INPUT", "the body was cut off"));
    });
  });
}
