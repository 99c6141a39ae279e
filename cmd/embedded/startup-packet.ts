/** The first message of a connection to Postgres: whom it is for. */

const PROTOCOL_3 = 196_608;
const HEADER = 8;
const DEFAULT_USER = "user\0postgres\0";

/**
 * A startup packet that names no user gets the one there is: Postgres ends its process over it, and
 * in PGlite that process is the database of everybody. Any other message is returned as it is.
 */
export function startupWithUser(message: Uint8Array): Uint8Array {
  const packet = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  // Other messages begin with a letter, which no length does.
  const isStartup =
    packet.length > HEADER &&
    packet.readInt32BE(0) === packet.length &&
    packet.readInt32BE(4) === PROTOCOL_3;
  const names = packet.subarray(HEADER).toString("latin1").split("\0");
  if (!isStartup || names.some((name, i) => i % 2 === 0 && name === "user")) {
    return message;
  }
  const user = Buffer.from(DEFAULT_USER);
  const longer = Buffer.concat([packet.subarray(0, HEADER), user, packet.subarray(HEADER)]);
  longer.writeInt32BE(longer.length, 0);
  return longer;
}
