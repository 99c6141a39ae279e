/** Shared set-up of the tests: services, waiting, free ports. */
export * from "./services.ts";
export * from "./wait-for.ts";
