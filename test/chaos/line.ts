/**
 * A network between a process and a store, both on this machine, that can be slow, stand still and be
 * cut: a socket that passes on to the store's own what it is sent.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Transform, type TransformCallback } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";

const FLOWING = Promise.resolve();

export class Line {
  readonly #server: Server;
  readonly #ends = new Set<Socket>();
  #flowing: Promise<void> = FLOWING;
  #resume: () => void = () => undefined;
  #delayMs = 0;

  private constructor(target: string) {
    this.#server = createServer((near) => this.#join(near, connect(target)));
  }

  /** From a socket at `path`, made here, to the one at `target`, which may come and go. */
  static async open(path: string, target: string): Promise<Line> {
    const line = new Line(target);
    line.#server.listen(path);
    await once(line.#server, "listening");
    return line;
  }

  /** Every piece that is sent takes so long, ms, and those after it wait. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Nothing arrives any more until `flow`, and no connection ends; what is sent is kept. */
  stall(): void {
    if (this.#flowing === FLOWING) {
      this.#flowing = new Promise((resolve) => (this.#resume = resolve));
    }
  }

  flow(): void {
    this.#flowing = FLOWING;
    this.#resume();
  }

  /** All connections end; new ones may be made. */
  cut(): void {
    this.#ends.forEach((end) => end.destroy());
  }

  close(): void {
    this.#server.close();
    this.flow();
    this.cut();
  }

  #join(near: Socket, far: Socket): void {
    near.pipe(this.#wire()).pipe(far);
    far.pipe(this.#wire()).pipe(near);
    const both = [near, far];
    for (const end of both) {
      this.#ends.add(end);
      end.on("error", () => undefined); // it is closed in any case
      end.on("close", () => {
        this.#ends.delete(end);
        both.forEach((other) => other.destroy());
      });
    }
  }

  #wire(): Transform {
    const pass = async (piece: Buffer, passed: TransformCallback): Promise<void> => {
      await this.#flowing;
      await pause(this.#delayMs);
      await this.#flowing;
      passed(null, piece);
    };
    return new Transform({ transform: (piece: Buffer, _, passed) => void pass(piece, passed) });
  }
}
