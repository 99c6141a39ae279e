/** The Redis client, with an end that is heard by all who wait for an answer. */
import { Redis } from "ioredis";

export class Connection extends Redis {
  /**
   * Ends the connection; commands that were not answered fail. ioredis ends one that is between two
   * attempts to connect without a word: what was to be sent then would wait for ever, and who waits
   * for that, too. As one that has not begun to connect it ends properly.
   */
  override disconnect(reconnect = false): void {
    if (!reconnect && this.status === "reconnecting") {
      this.status = "wait";
    }
    super.disconnect(reconnect);
  }
}
