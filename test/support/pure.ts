import { globSync } from "tinyglobby";

/**
 * Test files that need nothing but the modules they test: no service, no process, no spy, no clock
 * of their own. They share processes (`isolate: false` in vitest.config.ts), which saves each of them
 * a process's start and the loading of all modules, half a second: more than most of them take.
 *
 * What must not be in such a file is in pure.test.ts.
 */
const PATTERNS: readonly string[] = [
  "compiler/**/*.test.ts",
  "condition/**/*.test.ts",
  "cmd/{config,live-view,output,user-name}.test.ts",
  "cmd/simulation/*.test.ts",
  "gateway/run-feed.test.ts",
  "scripts/**/*.test.ts",
  "sdk/audit/signals.test.ts",
  "sdk/{blobs,chain,clock,define-workflow,element-report,entry,errors}.test.ts",
  "sdk/hot-{joins,rounds,signals,tokens,waits}.test.ts",
  "sdk/{client-waits,durations,keys,needs,plan,recent,redrive,run-reader,service,told-error}.test.ts",
  "sdk/postgres/admission-rules.test.ts",
  "supervisor/audit/{backlog,snapshot-names}.test.ts",
  "supervisor/{begun-rows,compensation,fold-run,rate-dues,records,run-repairs,start-profiles}.test.ts",
  "supervisor/{start-values,start-workflows,stream-tail,submission}.test.ts",
  "test/{capabilities,way-in,workflow-format}.test.ts",
  "test/fuzz/*.test.ts",
  "test/generate/*.test.ts",
  "test_data/*.test.ts",
  "worker/{ahead,backoff,byte-room,chain,codes,elements,entry-place,finish,give-back}.test.ts",
  "worker/{hand-backs,lease-table,look-ups,map-results,maps,may-retry,read-loop}.test.ts",
  "worker/{registry,results,room,token-state,trial,waiting}.test.ts",
  "worker/kinds/{builtins,function,http-guard,pure,schemas}.test.ts",
];

/** Of the folders above, those that need more. */
const MORE: readonly string[] = ["compiler/user-validator.test.ts", "condition/time.test.ts"];

/** Those files, below a folder. */
export function pureFiles(cwd = process.cwd()): string[] {
  return globSync([...PATTERNS], { cwd, ignore: [...MORE] });
}
