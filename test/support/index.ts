/** Shared set-up of the tests: services, waiting, free ports. */
export { freePort } from "../../cmd/embedded/sockets.ts";
export * from "./intercepted.ts";
export * from "./services.ts";
export * from "./wait-for.ts";
export * from "./whole-redis.ts";
