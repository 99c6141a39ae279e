/** The face of the audit within the sdk. */
export * from "./compare.ts";
export * from "./drift.ts";
export * from "./run.ts";
export * from "./signals.ts";
export * from "./snapshot.ts";
export * from "./timers.ts";
export * from "./tokens.ts";
export * from "./units.ts";
export { sameValue, shown } from "./values.ts";
