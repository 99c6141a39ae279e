/** The face of what the engine asks of Postgres. The worker and its users do not load it. */
export * from "./admission.ts";
export * from "./approvals.ts";
export * from "./audit.ts";
export * from "./children.ts";
export * from "./blobs.ts";
export * from "./connect.ts";
export * from "./dead-letters.ts";
export * from "./definitions.ts";
export * from "./deployment.ts";
export * from "./journal.ts";
export * from "./migrate.ts";
export * from "./pauses.ts";
export * from "./redrives.ts";
export * from "./retry.ts";
export * from "./runs.ts";
export * from "./workers.ts";
