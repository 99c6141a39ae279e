/** The gateway's own client of the engine, made at the first request that needs one: many see none. */
import { createClient, type Client, type ClientOptions } from "../sdk/index.ts";

export class EngineClient {
  readonly #options: ClientOptions;
  #client: Promise<Client> | null = null;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** The client. Throws GV_REDIS_UNAVAILABLE; whoever asks next tries again. */
  get(): Promise<Client> {
    this.#client ??= createClient(this.#options).catch((error: unknown) => {
      this.#client = null;
      throw error;
    });
    return this.#client;
  }

  async stop(): Promise<void> {
    await (await this.#client?.catch(() => null))?.close();
  }
}
