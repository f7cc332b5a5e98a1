// The Durable Object that knows all of a deployment; there is one. It lists the jobs, and starts and
// stops none: a job's coordinator does, and tells this list what became of it. It deletes savepoints,
// because it knows who began with which.
//   E1. The alarm is set before a disposal is answered, and again before it is worked on; its handler
//       never throws. So a disposal goes on whatever becomes of whoever asked, and of this memory.
//   E2. No job claims a savepoint that another one begins with and for which nobody keeps it.

import { DurableObject } from "cloudflare:workers";

import { type JobId, millis, objectName } from "../format/ids.ts";
import type {
  Beginning,
  DisposalAnswer,
  DisposalRequest,
  DisposalStatus,
  DispatcherApi,
  RegisterOutcome,
} from "../format/job-status.ts";
import type { JobSummary } from "../format/messages.ts";
import { folderOf, jobOfSavepoint, savepointManifestPath } from "../format/paths.ts";
import { Disposals, type OpenDisposal, openMax } from "./disposals.ts";
import { JobList } from "./job-list.ts";
import { BucketStore } from "./manifest-store.ts";

/** What the dispatcher needs bound. */
export interface DispatcherEnv {
  readonly COORDINATOR: {
    getByName(name: string): {
      needOf(savepoint: string): Promise<string | undefined>;
    };
  };
  readonly BUCKET: R2Bucket;
}

/** Milliseconds after which a job that was registered and never submitted needs nothing. */
const submissionMax = 10 * 60_000;

/** Milliseconds after which an alarm takes up what this memory should have done. */
const watchInterval = 30_000;

export class Dispatcher extends DurableObject<DispatcherEnv> implements DispatcherApi {
  readonly #jobs: JobList;
  readonly #disposals: Disposals;
  /** Folders of which it is being asked whether any job needs them. */
  readonly #asking = new Set<string>();
  /** What this memory is deleting. */
  readonly #working = new Set<string>();

  constructor(ctx: DurableObjectState, env: DispatcherEnv) {
    super(ctx, env);
    const { sql } = ctx.storage;
    const storage: ConstructorParameters<typeof JobList>[0] = {
      exec: (query, ...bindings) => sql.exec(query, ...bindings).toArray(),
    };
    this.#jobs = new JobList(storage);
    this.#disposals = new Disposals(storage);
  }

  async register(summary: JobSummary, beginning: Beginning = {}): Promise<RegisterOutcome> {
    const { begins } = summary;
    const { claims } = beginning;
    const isNew = this.#jobs.get(summary.job) === undefined;
    const refusal = isNew ? await this.#dispute(summary, beginning) : undefined;
    if (refusal !== undefined) return refusal;
    // From here on nothing is waited for: what was found is still so when the job is listed.
    if (isNew && begins !== undefined && this.#isGoing(folderOf(begins))) {
      return { kind: "disposed", savepoint: shown(folderOf(begins)) };
    }
    const outcome = this.#jobs.register(summary, claims);
    if (claims === undefined || outcome.kind !== "claimed") return outcome;
    if ((await this.#needOf(outcome.by, claims)) !== undefined) return outcome;
    this.#jobs.unclaim(outcome.by);
    return this.register(summary, beginning);
  }

  async update(summary: JobSummary): Promise<void> {
    this.#jobs.update(summary);
  }

  async list(): Promise<JobSummary[]> {
    return this.#jobs.list();
  }

  async get(job: JobId): Promise<JobSummary | undefined> {
    return this.#jobs.get(job);
  }

  async claimantOf(savepoint: string): Promise<JobId | undefined> {
    return this.#jobs.claimantOf(savepoint);
  }

  async dispose(request: DisposalRequest): Promise<DisposalAnswer> {
    const { trigger, folder } = request;
    const known = this.#disposals.known(trigger);
    if (known !== undefined) {
      if (known.folder === folder) return { kind: "accepted" };
      const reason = `Trigger id ${trigger} is that of another request; choose a new one.`;
      return { kind: "refused", reason };
    }
    if (this.#asking.has(folder) || this.#disposals.isOpen(folder)) {
      return { kind: "refused", reason: `${shown(folder)} is being deleted already.` };
    }
    if (this.#disposals.open.length >= openMax) {
      const reason = `${openMax} savepoints are being deleted; ask again later.`;
      return { kind: "refused", reason };
    }
    this.#asking.add(folder);
    try {
      const refusal = (await this.#absence(folder)) ?? (await this.#need(folder));
      if (refusal !== undefined) return refusal;
      await this.ctx.storage.setAlarm(Date.now() + watchInterval);
      this.#disposals.accept(request, millis(Date.now()));
    } finally {
      this.#asking.delete(folder);
    }
    this.#work();
    return { kind: "accepted" };
  }

  async disposalStatus(trigger: string): Promise<DisposalStatus | undefined> {
    return this.#disposals.status(trigger);
  }

  override async alarm(): Promise<void> {
    try {
      if (this.#disposals.open.length === 0) return;
      await this.ctx.storage.setAlarm(Date.now() + watchInterval);
      this.#work();
    } catch (error) {
      console.error(`Dispatcher: ${messageOf(error)}`);
    }
  }

  /** Whether a job would delete what another one begins with, or begin with what another one deletes. */
  async #dispute(
    { job, begins }: JobSummary,
    { claims, isHeld = false }: Beginning,
  ): Promise<RegisterOutcome | undefined> {
    if (claims === undefined) {
      const by = begins === undefined || isHeld ? undefined : this.#jobs.claimantOf(begins);
      if (by === undefined) return undefined;
      // One that was never submitted deletes nothing.
      const coordinator = this.env.COORDINATOR.getByName(objectName.coordinator(by));
      const isNeeded = (await coordinator.needOf(begins!)) !== undefined;
      return isNeeded ? { kind: "claimed", by } : undefined;
    }
    const asked = new Set<JobId>([job]);
    for (;;) {
      // Listed anew each time: another may have come while one was asked.
      const reader = this.#jobs
        .list()
        .find((each) => each.begins === claims && each.endTime < 0 && !asked.has(each.job));
      if (reader === undefined) return undefined;
      asked.add(reader.job);
      if (reader.job === this.#jobs.claimantOf(claims)) continue;
      const need = await this.#needOf(reader.job, claims);
      if (need !== undefined) return { kind: "needed", by: reader.job, need };
    }
  }

  /** No job may begin with it any more (D3). */
  #isGoing(folder: string): boolean {
    return this.#asking.has(folder) || this.#disposals.isGoing(folder, millis(Date.now()));
  }

  /**
   * What is no savepoint is left alone. Without a manifest it may be what a savepoint left that failed,
   * as its name says, or a disposal that was given up.
   */
  async #absence(folder: string): Promise<DisposalAnswer | undefined> {
    if ((await this.env.BUCKET.head(savepointManifestPath(folder))) !== null) return undefined;
    const isLeftover = jobOfSavepoint(folder) !== undefined || this.#disposals.wasBegun(folder);
    const { objects } = isLeftover
      ? await this.env.BUCKET.list({ prefix: folder, limit: 1 })
      : { objects: [] };
    if (objects.length > 0) return undefined;
    return { kind: "absent", reason: `There is no savepoint at ${shown(folder)}.` };
  }

  /** Asks those that may need it: who has taken it, and who has begun with it. */
  async #need(folder: string): Promise<DisposalAnswer | undefined> {
    const path = savepointManifestPath(folder);
    const taker = jobOfSavepoint(folder);
    // Those that have ended, too: their checkpoints may need what they claimed.
    const candidates = this.#jobs
      .list()
      .filter(({ job, begins }) => job === taker || begins === path);
    for (const { job } of candidates) {
      const need = await this.#needOf(job, path);
      if (need !== undefined) {
        return { kind: "refused", reason: `${shown(folder)} is needed: job ${job} ${need}.` };
      }
    }
    return undefined;
  }

  /** What a job that is listed needs the savepoint for, also one that may yet be submitted. */
  async #needOf(job: JobId, path: string): Promise<string | undefined> {
    const { phase, startTime } = this.#jobs.get(job) ?? {};
    const coordinator = this.env.COORDINATOR.getByName(objectName.coordinator(job));
    const mayCome = phase === "INITIALIZING" && Date.now() < (startTime ?? 0) + submissionMax;
    return (await coordinator.needOf(path)) ?? (mayCome ? "is about to begin with it" : undefined);
  }

  /** Takes up what is due and nobody works on, and sets the alarm for what is not. */
  #work(): void {
    const due = this.#disposals.open.filter(({ trigger }) => !this.#working.has(trigger));
    for (const disposal of due) {
      if (Date.now() < disposal.due) continue;
      this.#working.add(disposal.trigger);
      this.ctx.waitUntil(this.#delete(disposal));
    }
  }

  async #delete({ trigger, folder }: OpenDisposal): Promise<void> {
    try {
      const store = new BucketStore(this.env.BUCKET);
      await store.delete([savepointManifestPath(folder)]); // D2
      for await (const paths of store.list(folder)) {
        // A savepoint is flat. What lies in folders of its folder is somebody else's.
        await store.delete(paths.filter((path) => !path.slice(folder.length).includes("/")));
      }
      this.#disposals.deleted(trigger, millis(Date.now()));
    } catch (error) {
      console.warn(`Dispatcher: ${shown(folder)} is not deleted: ${messageOf(error)}`);
      this.#disposals.notDeleted(trigger, messageOf(error), millis(Date.now()));
    } finally {
      this.#working.delete(trigger);
    }
    const { open } = this.#disposals;
    if (open.length === 0) return this.ctx.storage.deleteAlarm();
    const next = Math.min(...open.map(({ due }) => due));
    const soonest = this.#working.size > 0 ? Date.now() + watchInterval : 0;
    await this.ctx.storage.setAlarm(Math.max(next, soonest));
  }
}

const shown = (folder: string): string => folder.replace(/\/$/, "");

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
