/**
 * Arrays as parameters in Postgres' binary format.
 *
 * `unnest` inserts of whole blocks are what makes the archive cheap. The driver would write such
 * arrays as one quoted literal and escape every quote of every JSON text in it; in binary nothing
 * is escaped and the server parses nothing. The driver sends a Buffer parameter in binary.
 *
 * What a column cannot hold is brought to the nearest that it can: these values come from runs, and
 * one refused value would hold up the archive of all that stand beside it. A number out of range
 * becomes the bound, U+0000 becomes U+FFFD as in gv_json().
 *
 * Loops go by index: called some times a second with hundreds of values, these functions stay
 * unoptimised for long, and an iterator makes an object per value meanwhile.
 */
const OID = { text: 25, int4: 23, int8: 20 } as const;
const HEADER_BYTES = 20;

function header(buffer: Buffer, oid: number, count: number): void {
  buffer.writeInt32BE(1, 0); // dimensions
  buffer.writeInt32BE(1, 4); // may hold nulls
  buffer.writeInt32BE(oid, 8);
  buffer.writeInt32BE(count, 12);
  buffer.writeInt32BE(1, 16); // lower bound
}

/** Of so many characters the most that they can take is reserved: counting would cost more. */
const SHORT_CHARS = 100;
const UTF8_BYTES_MAX = 3;
const UINT32 = 2 ** 32;
const INT32_MAX = 2 ** 31 - 1;
/** The largest that is read back as it was written. */
const INT64_MAX = Number.MAX_SAFE_INTEGER;
const NUL = "\u0000";

/** Postgres drops the connection of a message of 1 GiB. */
const PORTION_BYTES_MAX = 64 * 1024 * 1024;

/** Cuts a list into parts that one statement can take; what is too large by itself is alone. */
export function portions<T>(
  values: readonly T[],
  bytesOf: (value: T) => number,
  bytesMax = PORTION_BYTES_MAX,
): T[][] {
  const parts: T[][] = [];
  let bytes = Infinity;
  for (const value of values) {
    const size = bytesOf(value);
    if (bytes + size > bytesMax) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(value);
    bytes += size;
  }
  return parts;
}

/** A `text[]` parameter; use it as `$n::text[]`. */
export function textArray(values: readonly (string | null)[]): Buffer {
  let bytesMax = HEADER_BYTES;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as string | null;
    bytesMax += 4 + (value === null ? 0 : bytesMaxOf(storable(value)));
  }
  const buffer = Buffer.allocUnsafe(bytesMax);
  header(buffer, OID.text, values.length);
  let at = HEADER_BYTES;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as string | null;
    const bytes = value === null ? -1 : buffer.write(storable(value), at + 4);
    at = buffer.writeInt32BE(bytes, at) + Math.max(bytes, 0);
  }
  return buffer.subarray(0, at);
}

function storable(text: string): string {
  return text.includes(NUL) ? text.replaceAll(NUL, "\ufffd") : text;
}

function bytesMaxOf(text: string): number {
  return text.length <= SHORT_CHARS ? text.length * UTF8_BYTES_MAX : Buffer.byteLength(text);
}

/** A `bigint[]` parameter of integers; use it as `$n::bigint[]`. */
export function bigintArray(values: readonly (number | null)[]): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * 12);
  header(buffer, OID.int8, values.length);
  let at = HEADER_BYTES;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number | null;
    at = buffer.writeInt32BE(value === null ? -1 : 8, at);
    if (value !== null) {
      const whole = Math.min(Math.max(value, -INT64_MAX), INT64_MAX);
      // In two halves: a BigInt each would be most of the garbage of an archived block.
      at = buffer.writeInt32BE(Math.floor(whole / UINT32), at);
      at = buffer.writeUInt32BE(whole >>> 0, at);
    }
  }
  return buffer.subarray(0, at);
}

/** An `integer[]` parameter; use it as `$n::integer[]`. */
export function integerArray(values: readonly (number | null)[]): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * 8);
  header(buffer, OID.int4, values.length);
  let at = HEADER_BYTES;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number | null;
    at = buffer.writeInt32BE(value === null ? -1 : 4, at);
    if (value !== null) {
      at = buffer.writeInt32BE(Math.min(Math.max(value, -INT32_MAX - 1), INT32_MAX), at);
    }
  }
  return buffer.subarray(0, at);
}
