/**
 * Arrays as parameters in Postgres' binary format.
 *
 * `unnest` inserts of whole blocks are what makes the archive cheap. The driver would write such
 * arrays as one quoted literal and escape every quote of every JSON text in it; in binary nothing
 * is escaped and the server parses nothing. The driver sends a Buffer parameter in binary.
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

/** A `text[]` parameter; use it as `$n::text[]`. */
export function textArray(values: readonly (string | null)[]): Buffer {
  const lengths = values.map((value) => (value === null ? -1 : Buffer.byteLength(value)));
  const bytes = lengths.reduce((sum, length) => sum + 4 + Math.max(length, 0), HEADER_BYTES);
  const buffer = Buffer.allocUnsafe(bytes);
  header(buffer, OID.text, values.length);
  let at = HEADER_BYTES;
  values.forEach((value, i) => {
    at = buffer.writeInt32BE(lengths[i] as number, at);
    if (value !== null) {
      at += buffer.write(value, at);
    }
  });
  return buffer;
}

/** A `bigint[]` parameter of safe integers; use it as `$n::bigint[]`. */
export function bigintArray(values: readonly (number | null)[]): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * 12);
  header(buffer, OID.int8, values.length);
  let at = HEADER_BYTES;
  for (const value of values) {
    at = buffer.writeInt32BE(value === null ? -1 : 8, at);
    if (value !== null) {
      at = buffer.writeBigInt64BE(BigInt(value), at);
    }
  }
  return buffer.subarray(0, at);
}

/** An `integer[]` parameter; use it as `$n::integer[]`. */
export function integerArray(values: readonly (number | null)[]): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * 8);
  header(buffer, OID.int4, values.length);
  let at = HEADER_BYTES;
  for (const value of values) {
    at = buffer.writeInt32BE(value === null ? -1 : 4, at);
    if (value !== null) {
      at = buffer.writeInt32BE(value, at);
    }
  }
  return buffer.subarray(0, at);
}
