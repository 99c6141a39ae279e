/**
 * Reading the body of a request: JSON in UTF-8, bounded.
 *
 * What is too much is read on and not kept, so that the answer is heard: who still sends when the
 * connection is closed hears of a lost connection, and not why. Beyond READ_ON_BYTES_MAX he does.
 */
import type { IncomingMessage } from "node:http";
import type { Json } from "../compiler/ir.ts";
import { parseJson } from "../condition/json-text.ts";
import { GavotteError, type ErrorCode } from "../sdk/internal.ts";

const READ_ON_BYTES_MAX = 64 * 1024 * 1024;

/** The value of a body; `undefined` for an empty one. Throws `tooLarge`, GV_BAD_INPUT. */
export async function readJson(
  request: IncomingMessage,
  bytesMax: number,
  tooLarge: ErrorCode,
): Promise<Json | undefined> {
  const { pieces, bytes } = await readPieces(request, bytesMax);
  if (bytes > bytesMax) {
    const message = `the body has ${bytes} bytes, at most ${bytesMax} are taken`;
    throw new GavotteError(tooLarge, message);
  }
  try {
    // Decoded leniently it would be another value than was sent.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(
      pieces.length === 1 ? pieces[0] : Buffer.concat(pieces),
    );
    return text === "" ? undefined : parseJson(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (error instanceof RangeError) throw new GavotteError("GV_BAD_INPUT", `the body has ${why}`);
    throw new GavotteError("GV_BAD_INPUT", `the body is not JSON in UTF-8: ${why}`);
  }
}

function readPieces(
  request: IncomingMessage,
  bytesMax: number,
): Promise<{ pieces: Buffer[]; bytes: number }> {
  return new Promise((resolve, reject) => {
    let pieces: Buffer[] = [];
    let bytes = 0;
    request.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= bytesMax) {
        pieces.push(piece);
      } else {
        pieces = [];
        void (bytes > bytesMax + READ_ON_BYTES_MAX && request.destroy());
      }
    });
    request.on("end", () => resolve({ pieces, bytes }));
    request.on("error", reject);
    request.on("close", () => reject(new GavotteError("GV_BAD_INPUT", "the body was cut off")));
  });
}
