/** Where the gateway is: as configured, of the embedded stack, or the usual one of this machine. */
import { resolve } from "node:path";
import { GavotteError } from "../sdk/errors.ts";
import type { Config } from "./config.ts";
import type { Context } from "./context.ts";
import { readStackFile } from "./embedded/index.ts";

/** What is sent to it besides: a key, if one is configured. */
export function gatewayKey({ values }: Config): { apiKey?: string } {
  return values.api_key === null ? {} : { apiKey: values.api_key };
}

/** Its address. Throws GV_GATEWAY_UNAVAILABLE where an embedded stack runs none. */
export async function gatewayUrl(context: Context, config: Config): Promise<string> {
  const { gateway_url: url, redis_url, data_dir, gateway_listen } = config.values;
  if (url !== null) {
    return url;
  }
  if (redis_url !== null) {
    return `http://${gateway_listen}`;
  }
  const stack = await readStackFile(resolve(context.cwd, data_dir));
  if (stack?.gateway === undefined) {
    const message =
      `no gateway runs for ${data_dir}: start "gavotte dev", or set gateway_url; ` +
      '"gavotte status" tells of a run without one';
    throw new GavotteError("GV_GATEWAY_UNAVAILABLE", message);
  }
  return stack.gateway;
}
