/** The face of the audit within the sdk. */
export * from "./compare.ts";
export * from "./drift.ts";
export * from "./run.ts";
export * from "./snapshot.ts";
export * from "./units.ts";
