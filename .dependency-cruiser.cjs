/**
 * Who may import whom. Layers, from below: condition, compiler, sdk, then worker | supervisor |
 * gateway, then cmd. Imports go down only. Each rule says why, as the message of a failure does.
 *
 * Tests may import anything: they look behind a face on purpose.
 */
const TESTS = "(\\.(test|fixture)\\.ts$|^test/|^bench/|^scripts/|^test_data/|^tmp/)";

/** One layer rule: `from` may not import `to`. */
function forbid(name, comment, from, to) {
  return {
    name,
    comment,
    severity: "error",
    from: { path: from, pathNot: TESTS },
    to: { path: to },
  };
}

/** One face rule: only `faces` of `module` are seen from outside it. */
function face(module, faces) {
  return {
    name: `face-of-${module}`,
    comment:
      `Import ${faces.map((file) => `${module}/${file}`).join(" or ")}: what lies behind a face ` +
      "can change without its users noticing.",
    severity: "error",
    from: { pathNot: `${TESTS}|^${module}/` },
    to: {
      path: `^${module}/`,
      pathNot: `^${module}/(${faces.join("|").replaceAll(".", "\\.")})$`,
    },
  };
}

module.exports = {
  forbidden: [
    {
      name: "no-circular",
      comment: "Files that need each other are one file, or miss a third that both can need.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "resolvable",
      comment: "The file or package does not exist, or is not in package.json.",
      severity: "error",
      from: {},
      // node-pg-migrate and others describe themselves by `exports` alone; these are checked by tsc.
      to: { couldNotResolve: true, path: "^\\.", dependencyTypesNot: ["core"] },
    },
    {
      name: "runtime-needs-dependencies",
      comment: "Users install dependencies only: what runs at their place cannot need more.",
      severity: "error",
      from: { path: "^(cmd|compiler|condition|sdk|worker|supervisor|gateway)/", pathNot: TESTS },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
    forbid(
      "condition-stands-alone",
      "Conditions are evaluated in compiler, worker and browser: they need nothing of ours.",
      "^condition/",
      "^(compiler|sdk|worker|supervisor|gateway|cmd)/",
    ),
    forbid(
      "compiler-knows-no-engine",
      "The compiler is pure: no store, no process, no clock. It runs where the engine does not.",
      "^compiler/",
      "^(sdk|worker|supervisor|gateway|cmd)/",
    ),
    forbid(
      "sdk-below-the-roles",
      "The sdk is what the roles share; it cannot know them.",
      "^sdk/",
      "^(worker|supervisor|gateway|cmd)/",
    ),
    {
      ...forbid(
        "sdk-sees-the-vocabulary-only",
        "The sdk needs the compiled form, not the compiler: clients do not carry a parser.",
        "^sdk/",
        "^compiler/",
      ),
      // What a schema of the compiled form says of data is part of that form.
      to: {
        path: "^compiler/",
        pathNot: "^compiler/(ir|workflow-file\\.gen|user-validator)\\.ts$",
      },
    },
    {
      ...forbid(
        "worker-sees-the-vocabulary-only",
        "Workers run what is compiled; compiling is the supervisor's and the client's.",
        "^worker/",
        "^compiler/",
      ),
      to: { path: "^compiler/", pathNot: "^compiler/ir\\.ts$" },
    },
    forbid(
      "worker-has-one-store",
      "A worker reaches Redis only: durable history is the archiver's.",
      "^worker/",
      "(^sdk/postgres/|node_modules/pg/)",
    ),
    forbid(
      "roles-do-not-meet-worker",
      "What two roles agree on belongs in the sdk.",
      "^worker/",
      "^(supervisor|gateway|cmd)/",
    ),
    forbid(
      "roles-do-not-meet-supervisor",
      "What two roles agree on belongs in the sdk.",
      "^supervisor/",
      "^(worker|gateway|cmd)/",
    ),
    forbid(
      "roles-do-not-meet-gateway",
      "What two roles agree on belongs in the sdk.",
      "^gateway/",
      "^(worker|supervisor|cmd)/",
    ),
    face("condition", ["index.ts", "json-text.ts", "types.ts", "suggest.ts"]),
    face("compiler", [
      "index.ts",
      "ir.ts",
      "report.ts",
      "analysis/index.ts",
      "render/index.ts",
      "reference/index.ts",
      "workflow-file.gen.ts",
      "user-validator.ts",
    ]),
    // Several faces, so that nobody loads what they do not use: internal.ts is the engine's, the
    // client's is of those who submit runs, Postgres and the feed's client come with their drivers, and
    // the errors are vocabulary that also the quickest command needs, as is how a URL is shown; threads
    // that need nothing else name themselves.
    face("sdk", [
      "internal.ts",
      "index.ts",
      "client.ts",
      "client-report.ts",
      "errors.ts",
      "shown-url.ts",
      "feed-client.ts",
      "thread-time.ts",
      "postgres/index.ts",
    ]),
    face("worker", ["index.ts"]),
    face("supervisor", ["index.ts"]),
    face("gateway", ["index.ts"]),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(dist|web|tmp|bench/peers)/" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: [".ts", ".js", ".json"] },
    moduleSystems: ["es6", "cjs"],
  },
};
