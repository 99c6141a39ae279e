/**
 * A connection to whichever primary owns one slot of a Redis Cluster.
 *
 * All that a partition has is in one slot, so to the engine this is a connection to a single server:
 * pipelines, transactions, scripts, scans and blocking reads are as ever. When the slot has another
 * owner (failover, resharding) the connection goes there; commands that were not answered, or whose
 * answer was that the slot is elsewhere or on its way, are sent again, in their order. Commands of a
 * MULTI are not: the transaction fails as a whole, and its caller repeats it.
 *
 * While a slot migrates, ASK is not followed: one half of a partition on either node is nothing to
 * work with. The commands wait until all of it is in one place.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { AbstractConnector, type Command, type Redis, type RedisOptions } from "ioredis";
import { addressText, type NodeAddress } from "./cluster-url.ts";
import { Connection } from "./connection.ts";
import type { ClusterTopology } from "./topology.ts";

const REDIRECTED = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|LOADING|READONLY|UNBLOCKED)\b/;
/** What is left of a pipeline when the connection broke between its answers. */
const CUT_OFF = "Command aborted due to connection close";
const HOLD_MS_MIN = 10;
const HOLD_MS_MAX = 200;
const CONNECT_MS = 2000;
const DISCONNECT_MS = 100;
const LOOK_MS = 50;

type SendArguments = Parameters<Redis["sendCommand"]>;

/** What connector and connection share: where it is connected to. */
interface Place {
  slot: number;
  topology: ClusterTopology;
  connected: string | null;
}

class SlotConnection extends Connection {
  readonly #place: Place;
  readonly #held: Command[] = [];
  readonly #seen = new WeakSet<Command>();
  #timer: NodeJS.Timeout | null = null;
  #holdMs = HOLD_MS_MIN;

  constructor(place: Place, options: RedisOptions) {
    super(options);
    this.#place = place;
    const { topology, slot } = place;
    const done = topology.use({ slot, ownerIs: (owner) => this.#follow(owner) });
    this.once("end", () => {
      done();
      this.#flush();
    });
  }

  override sendCommand(...[command, stream]: SendArguments): unknown {
    if (!this.#seen.has(command)) {
      this.#seen.add(command);
      this.#watch(command);
    }
    return super.sendCommand(command, stream);
  }

  #watch(command: Command): void {
    const { resolve, reject } = command;
    command.resolve = (value) => {
      this.#holdMs = HOLD_MS_MIN;
      resolve(value);
    };
    command.reject = (error) => {
      const [, why] = REDIRECTED.exec(error.message) ?? [];
      if (why === "MOVED") {
        this.#moved(error.message);
      }
      const isPassing = why !== undefined || error.message === CUT_OFF;
      if (!isPassing || command.inTransaction || this.status === "end") {
        reject(error);
      } else {
        this.#hold(command);
      }
    };
  }

  /** Held commands go out in the order in which they were refused. */
  #hold(command: Command): void {
    delete command.pipelineIndex; // from now on it is sent by itself
    this.#held.push(command);
    if (this.#timer === null) {
      this.#timer = setTimeout(() => this.#flush(), this.#holdMs);
      this.#holdMs = Math.min(this.#holdMs * 2, HOLD_MS_MAX);
    }
  }

  #flush(): void {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    for (const command of this.#held.splice(0)) {
      super.sendCommand(command);
    }
  }

  #moved(message: string): void {
    const [, , address = ""] = message.split(" ");
    const colon = address.lastIndexOf(":");
    const current = this.#place.topology.ownerOf(this.#place.slot);
    const host = address.slice(0, colon) || current?.host;
    if (host !== undefined && colon >= 0) {
      this.#place.topology.moved(this.#place.slot, {
        host,
        port: Number(address.slice(colon + 1)),
      });
    }
  }

  #follow(owner: NodeAddress): void {
    const { connected } = this.#place;
    const isUp = this.status === "ready" || this.status === "connect";
    if (isUp && connected !== null && connected !== addressText(owner)) {
      this.#place.connected = null; // once: the connection ends a moment later
      this.disconnect(true);
    }
  }
}

/** Opens a connection to the owner of `slot`; it connects at first use. */
export function connectSlot(topology: ClusterTopology, slot: number, options: RedisOptions): Redis {
  const place: Place = { slot, topology, connected: null };
  return new SlotConnection(place, {
    ...topology.target.options,
    connectTimeout: CONNECT_MS,
    ...options,
    Connector: connectorTo(place),
  });
}

/** Whether a connection follows a slot. */
export function isSlotConnection(redis: Redis): boolean {
  return redis instanceof SlotConnection;
}

/** Looks for the slot's owner as long as it takes, then connects to it. */
function connectorTo(place: Place): NonNullable<RedisOptions["Connector"]> {
  return class extends AbstractConnector {
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      super((options as RedisOptions).disconnectTimeout ?? DISCONNECT_MS);
      this.#options = options as RedisOptions;
    }

    async connect(): Promise<Socket> {
      this.connecting = true;
      await place.topology.refresh();
      let owner = place.topology.ownerOf(place.slot);
      while (owner === null && this.connecting) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        await place.topology.refresh();
        owner = place.topology.ownerOf(place.slot);
      }
      if (owner === null || !this.connecting) {
        throw new Error("Connection is closed.");
      }
      place.connected = addressText(owner);
      const { tls, family } = this.#options;
      const to = { ...owner, ...(family === undefined ? {} : { family }) };
      const stream = tls ? connectTls({ ...to, ...(tls as ConnectionOptions) }) : connect(to);
      stream.once("error", (error: Error) => (this.firstError = error));
      this.stream = stream;
      return stream;
    }
  };
}
