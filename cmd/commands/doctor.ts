/** `gavotte doctor`: is everything that the engine stands on as it should be? */
import {
  checkDatabase,
  checkAsleep,
  checkFindings,
  checkFrozen,
  checkPartitions,
  checkRedis,
  checkRuns,
  checkStop,
} from "../doctor-checks.ts";
import { checkArchive } from "../doctor-archive.ts";
import type { Check } from "../doctor-checks.ts";
import { causeOf } from "../doctor-foreign.ts";
import { momentFromNow } from "../doctor-moment.ts";
import { checkGateway, checkSupervisors, checkWorkers } from "../doctor-services.ts";
import { auditStack, type AuditResult } from "../doctor-audit.ts";
import { errorCode, GavotteError } from "../../sdk/internal.ts";
import type { Context } from "../context.ts";
import { EXIT, exitCodeOf } from "../exit.ts";
import { createLogger } from "../logger.ts";
import { openStack, type Stack } from "../stack.ts";

/** 0: nothing is wrong; 1: something is; 3: a service cannot be reached. */
export async function doctor(
  context: Context,
  flags: { audit?: boolean; repair?: boolean; run?: string } = {},
): Promise<number> {
  if ((flags.repair === true || flags.run !== undefined) && flags.audit !== true) {
    throw new GavotteError("GV_BAD_INPUT", "--run and --repair belong to --audit");
  }
  const config = await context.config();
  const logger = createLogger(config, "error");
  const checks: Check[] = [nodeCheck()];
  const stack = await openStack(context, { config, logger, mustExist: true });
  let unreachable = false;
  const failures = new Failures();
  let audit: Omit<AuditResult, "checks"> | null = null;
  const auditStep = async (on: Stack): Promise<Check[]> => {
    const { checks: found, ...rest } = await auditStack(on, flags, context.output);
    audit = rest;
    return found;
  };
  const checkGateways = (): Promise<Check[]> => checkGateway(context, config);
  try {
    const usual = [
      checkRedis,
      checkDatabase,
      checkPartitions,
      checkArchive,
      checkStop,
      checkSupervisors,
      checkWorkers,
      checkGateways,
      checkAsleep,
      checkFrozen,
      checkFindings,
      checkRuns,
    ];
    const untilMs = momentFromNow();
    const steps = flags.audit === true ? [...usual.slice(0, -2), auditStep] : usual;
    for (const step of steps) {
      try {
        checks.push(...(await step(stack, config, untilMs)));
      } catch (error) {
        if (errorCode(error) === "GV_RUN_NOT_FOUND") {
          throw error; // what was asked about is not there: no check of what is
        }
        unreachable ||= exitCodeOf(error) === EXIT.unreachable;
        const name = step === auditStep ? "audit" : step.name.slice("check".length).toLowerCase();
        checks.push(...failures.told(name, error));
        if (errorCode(error) === "GV_SCHEMA_OUTDATED") {
          break; // whatever asks for tables would say the same, once more and worse
        }
      }
    }
  } finally {
    await stack.stop();
  }
  checks.push(...failures.rest());
  const signs = { ok: "ok  ", warning: "warn", bad: "BAD " } as const;
  checks.forEach(({ state, name, text }) => {
    context.output.line(`${signs[state]} ${name.padEnd(12)} ${text}`);
  });
  const healthy = checks.every(({ state }) => state !== "bad");
  context.output.document({ healthy, checks, ...(audit === null ? {} : { audit }) });
  return unreachable ? EXIT.unreachable : healthy ? EXIT.done : EXIT.failed;
}

/** Checks that could not be made: for a reason that was told before they are only named. */
class Failures {
  readonly #reasons = new Set<string>();
  readonly #unseen: string[] = [];

  told(name: string, error: unknown): Check[] {
    const text = causeOf(error);
    const reason = errorCode(error) ?? text;
    if (this.#reasons.has(reason)) {
      this.#unseen.push(name);
      return [];
    }
    this.#reasons.add(reason);
    return [{ name, state: "bad", text }];
  }

  rest(): Check[] {
    const text = `not looked at, for what is told above: ${this.#unseen.join(", ")}`;
    return this.#unseen.length === 0 ? [] : [{ name: "the rest", state: "bad", text }];
  }
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isOld = major < 20 || (major === 20 && minor < 19);
  const text = `Node ${process.versions.node}${isOld ? ": 20.19 or newer is needed" : ""}`;
  return { name: "node", state: isOld ? "bad" : "ok", text };
}
