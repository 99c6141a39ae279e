/**
 * What a client tells of one run: from its row, and its archived journal read with its workflow.
 *
 * Redis is not asked, so nothing told here can be lost again. A workflow never changes under its hash:
 * those that were read are remembered.
 */
import type { Ir } from "../compiler/ir.ts";
import type { ClientGate } from "./client-ends.ts";
import { notFound } from "./client-ends.ts";
import {
  admissionOf,
  foldRun,
  relativesOf,
  reportOf,
  resolveOutputs,
  stopReportOf,
  type RunReport,
} from "./client-report.ts";
import type { Dispatch } from "./dispatch.ts";
import { foldWithElements } from "./element-report.ts";
import { GavotteError } from "./errors.ts";
import type { RunView } from "./fold.ts";
import {
  compensationOf,
  definitionsByHash,
  journalPages,
  listRuns,
  readAdmission,
  readJournal,
  readRun,
  type Database,
  type RunRow,
} from "./postgres/index.ts";
import { pathOf, type Hop } from "./run-path.ts";
import { isTerminal } from "./status.ts";

/** Children named in one report; `runs --parent` has them all. */
const CHILDREN_TOLD_MAX = 100;
/** Workflows that are remembered; then it begins anew. */
const IRS_MAX = 1000;

export interface RunReaderOptions {
  db: Database;
  /** Of the client: what is asked after it is closed is refused. */
  gate: ClientGate;
  dispatch: Pick<Dispatch, "stopped">;
}

export class RunReader {
  readonly #db: Database;
  readonly #gate: ClientGate;
  readonly #dispatch: Pick<Dispatch, "stopped">;
  readonly #irs = new Map<string, Ir>();

  constructor({ db, gate, dispatch }: RunReaderOptions) {
    this.#db = db;
    this.#gate = gate;
    this.#dispatch = dispatch;
  }

  /** Throws GV_RUN_NOT_FOUND. */
  async row(runId: string): Promise<RunRow> {
    this.#gate.assertOpen(runId);
    const row = await readRun(this.#db, runId);
    if (row === null) {
      throw notFound(runId);
    }
    return row;
  }

  /** See Client.irOf. */
  irOf(hash: string): Promise<Ir> {
    return this.#gate.pass(() => this.#irOf(hash));
  }

  /** See Client.view. */
  view(runId: string): Promise<RunView> {
    return this.#gate.pass(async () => {
      const row = await this.row(runId);
      const ir = await this.irOf(row.irHash);
      return foldRun(ir, journalPages(this.#db, runId));
    }, runId);
  }

  /** See Client.path. */
  path(runId: string): Promise<Hop[]> {
    return this.#gate.pass(async () => {
      const row = await this.row(runId);
      return pathOf(await this.irOf(row.irHash), await readJournal(this.#db, runId));
    }, runId);
  }

  /** See Client.status. */
  status(runId: string): Promise<RunReport> {
    return this.#gate.pass(() => this.#status(runId), runId);
  }

  async #status(runId: string): Promise<RunReport> {
    const db = this.#db;
    const row = await this.row(runId);
    const ir = await this.irOf(row.irHash);
    const journal = journalPages(db, runId);
    const { view, elements } = isTerminal(row.status)
      ? { view: await foldRun(ir, journal), elements: [] }
      : await foldWithElements(ir, journal);
    await resolveOutputs(db, view);
    const children = await listRuns(db, { parent: runId, limit: CHILDREN_TOLD_MAX });
    const compensation = await compensationOf(db, runId);
    const wait = row.held && !isTerminal(row.status) ? await readAdmission(db, runId) : null;
    const stop = isTerminal(row.status) ? null : await this.#dispatch.stopped();
    return {
      ...reportOf(row, view),
      ...(stop === null ? {} : { stopped: stopReportOf(stop) }),
      ...(elements.length === 0 ? {} : { elements }),
      ...(wait === null ? {} : { admission: admissionOf(wait) }),
      ...relativesOf(row, { children, compensation }),
    };
  }

  async #irOf(hash: string): Promise<Ir> {
    const known = this.#irs.get(hash);
    if (known !== undefined) {
      return known;
    }
    const [definition] = await definitionsByHash(this.#db, [hash]);
    if (definition === undefined) {
      throw new GavotteError("GV_WORKFLOW_NOT_FOUND", `there is no workflow with hash ${hash}`);
    }
    const ir = JSON.parse(definition.ir) as Ir;
    if (this.#irs.size >= IRS_MAX) {
      this.#irs.clear();
    }
    this.#irs.set(hash, ir);
    return ir;
  }
}
