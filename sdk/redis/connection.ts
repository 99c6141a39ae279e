/**
 * The Redis client, with an end that is heard by all who wait for an answer, and pipelines that hold
 * nothing when they have been answered.
 */
import { Redis, type ChainableCommander } from "ioredis";

export class Connection extends Redis {
  override pipeline(commands?: unknown[][]): ChainableCommander {
    return lettingGo(super.pipeline(commands));
  }

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

/**
 * Lets go of what a pipeline was sent and answered as soon as it has been. ioredis defines a getter of
 * its own on each, so V8 makes each a hidden class of its own, and keeps that, with the pipeline that
 * its getter can reach, until it collects the whole heap: every reply would grow old there, which cost
 * a worker half of its memory and of its collector's time.
 */
function lettingGo(pipeline: ChainableCommander): ChainableCommander {
  const exec = pipeline.exec.bind(pipeline);
  const own = pipeline as unknown as { [field: string]: unknown };
  pipeline.exec = (...args) => {
    const answered = exec(...args);
    const letGo = (): void => {
      own["_queue"] = [];
      own["_result"] = [];
      own["promise"] = own["resolve"] = own["reject"] = undefined;
    };
    answered.then(letGo, letGo);
    return answered;
  };
  return pipeline;
}
