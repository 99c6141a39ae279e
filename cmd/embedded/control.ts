/**
 * The connection between the owner of a stack and the processes attached to it.
 *
 * An attached process says hello and is told where the stack's parts are, once they run. It keeps
 * the connection open as long as it uses them, so either side notices at once when the other is
 * gone, killed or not. Connections that say nothing are somebody asking whether the owner lives.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** Where the parts are. */
export interface StackAddresses {
  redisUrl: string;
  databaseUrl: string;
  pid: number;
}

/** Owner's side: who is attached. */
export class Attachments {
  /** To be listened on; connections are answered from the first on. */
  readonly server: Server;
  readonly #open = new Set<Socket>();
  #addresses: StackAddresses | undefined;
  #whenEmpty: (() => void)[] = [];

  constructor() {
    this.server = createServer((socket) => {
      socket.on("error", () => undefined);
      onFirstLine(socket, () => this.#welcome(socket));
    });
  }

  /** How many processes are attached now. */
  get count(): number {
    return this.#open.size;
  }

  /** The stack runs: tells those who wait, and those who come. */
  announce(addresses: StackAddresses): void {
    this.#addresses = addresses;
    for (const socket of this.#open) {
      socket.write(`${JSON.stringify(addresses)}\n`);
    }
  }

  /**
   * The stack is about to end: who comes from now on waits for an answer that `close` denies, and
   * so starts over instead of being let into a stack that is no more.
   */
  retract(): void {
    this.#addresses = undefined;
  }

  /** Resolves when nobody is attached. */
  async empty(): Promise<void> {
    if (this.#open.size > 0) {
      await new Promise<void>((done) => this.#whenEmpty.push(done));
    }
  }

  /** Ends all connections and takes no more. */
  async close(): Promise<void> {
    const closed = new Promise<void>((done) => {
      this.server.close(() => done());
    });
    for (const socket of this.#open) {
      socket.destroy();
    }
    await closed;
  }

  #welcome(socket: Socket): void {
    this.#open.add(socket);
    socket.once("close", () => {
      this.#open.delete(socket);
      if (this.#open.size === 0) {
        this.#whenEmpty.splice(0).forEach((done) => done());
      }
    });
    if (this.#addresses !== undefined) {
      socket.write(`${JSON.stringify(this.#addresses)}\n`);
    }
  }
}

/** Attached process's side. */
export interface Attachment {
  addresses: StackAddresses;
  /** Resolves when the connection ends, also by `leave`. */
  ended: Promise<void>;
  /** Tells the owner that this process no longer uses the stack. */
  leave(): void;
}

/** Attaches to the owner on `socket`; undefined when it goes away before it has said anything. */
export function attach(path: string): Promise<Attachment | undefined> {
  return new Promise((answer) => {
    const socket = createConnection({ path });
    socket.on("error", () => undefined);
    const ended = new Promise<void>((done) => {
      socket.once("close", () => {
        answer(undefined);
        done();
      });
    });
    onFirstLine(socket, (line) => {
      const addresses = JSON.parse(line) as StackAddresses;
      answer({ addresses, ended, leave: () => socket.destroy() });
    });
    socket.write(`${process.pid}\n`);
  });
}

/** An interface repeats the errors of its socket, and throws those nobody listens to. */
function onFirstLine(socket: Socket, listener: (line: string) => void): void {
  const lines = createInterface(socket);
  lines.on("error", () => undefined);
  lines.once("line", listener);
}
