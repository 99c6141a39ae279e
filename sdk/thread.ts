/** Starts a module of ours as a thread, wherever it lies: in the sources, compiled, or in a bundle. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker as Thread, type WorkerOptions } from "node:worker_threads";

export type { Thread };

/**
 * `name`: the module's, without its extension, beside the one at `besideUrl`. A bundle has the
 * thread's module beside it, too: scripts/build.sh names it.
 */
export function startThread(name: string, besideUrl: string, options: WorkerOptions): Thread {
  const isSource = besideUrl.endsWith(".ts");
  const module = new URL(`./${name}${isSource ? ".ts" : ".js"}`, besideUrl);
  return isSource
    ? new Thread(fromSource(module), { ...options, eval: true })
    : new Thread(module, options);
}

/** Sources need tsx, which a thread does not inherit; a compiled installation needs none. */
function fromSource(module: URL): string {
  // What `require` finds is the CommonJS build, which registers nothing in a thread.
  const found = createRequire(import.meta.url)
    .resolve("tsx/esm/api")
    .replace(/cjs$/, "mjs");
  const loader = pathToFileURL(found).href;
  const [tsx, own] = [loader, module.href].map((url) => JSON.stringify(url));
  return `import(${tsx}).then(({ register }) => { register(); return import(${own}); })`;
}
