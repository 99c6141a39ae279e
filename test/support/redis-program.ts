/** Which server the tests start: GAVOTTE_TEST_REDIS_SERVER, else Redis or Valkey from the PATH. */
import { findProgram } from "../../cmd/embedded/find-program.ts";

/** Its path. Throws when there is none. */
export function redisProgram(): string {
  const wish = process.env["GAVOTTE_TEST_REDIS_SERVER"];
  const program = wish || findProgram(["redis-server", "valkey-server"]);
  if (program === undefined) {
    throw new Error("no redis-server and no valkey-server: run scripts/setup.sh");
  }
  return program;
}
