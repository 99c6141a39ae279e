/** The sdk's face for the engine's own parts; users import sdk/index.ts. */
export * from "./define-function.ts";
export * from "./entry.ts";
export * from "./errors.ts";
export * from "./fold.ts";
export * from "./journal.ts";
export * from "./keys.ts";
export * from "./plan.ts";
export * from "./profile.ts";
export * from "./redis/complete-tokens.ts";
export type { Redis } from "ioredis";
export * from "./redis/connect.ts";
export * from "./redis/lease-scripts.ts";
export * from "./redis/run-scripts.ts";
export * from "./redis/script-runner.ts";
export * from "./redis/scripts.gen.ts";
export * from "./scope.ts";
export * from "./status.ts";
