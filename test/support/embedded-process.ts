/** A process that starts or joins the embedded stack in a folder, says so, and stays. */
import { startEmbedded } from "../../cmd/embedded/index.ts";

const stack = await startEmbedded({ dir: process.argv[2] ?? "", log: () => undefined });
process.send?.({ owner: stack.owner, redisUrl: stack.redisUrl });
