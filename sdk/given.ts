/**
 * What people give to a run by hand - inputs, outputs, errors - is bounded as the input of a run is: it
 * stands in the run's hash and in its journal as it is, and not beside them as large outputs do.
 */
import { GavotteError } from "./errors.ts";

/** Bytes of JSON that one order may give. */
export const GIVEN_BYTES_MAX = 1024 * 1024;

/** Throws GV_BAD_INPUT if this is larger than one order may give; `given` may be undefined. */
export function assertGiven(given: unknown): void {
  const bytes = Buffer.byteLength(JSON.stringify(given) ?? "");
  if (bytes > GIVEN_BYTES_MAX) {
    const message =
      `what is given has ${bytes} bytes as JSON; at most ${GIVEN_BYTES_MAX} bytes are taken: ` +
      "put it where the workflow can fetch it, and give the reference";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
}
