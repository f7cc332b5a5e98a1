// The Durable Object around one job: turns calls, alarms and answers into events of the job core,
// writes what the core says, performs its effects, feeds the results back.
//   D1. Events run one at a time and without an await inside, so the core never sees two at once.
//   D2. What an effect needs durable is written before the effect is performed; the output gate
//       then holds the effect's messages back until the write is.
//   D3. The alarm is set again before its work begins, and its handler never throws.
//   D4. Where an event could not be carried out whole, this instance is given up: memory is then
//       ahead of what is stored, and the next instance starts from what is stored.

import { DurableObject } from "cloudflare:workers";
import { joined } from "../format/bytes.ts";
import type { CoordinatorPeerApi, HoldAnswer, HoldKey, HoldRequest } from "../format/holds.ts";
import {
  type Attempt,
  type JobId,
  type Millis,
  millis,
  objectName,
  type TaskId,
} from "../format/ids.ts";
import type {
  CheckpointAnswer,
  CheckpointOverview,
  CheckpointRecord,
  CheckpointRequest,
  CheckpointStatus,
  CoordinatorJobApi,
  JobDetails,
  JobHealth,
  RetainedAnswer,
  RescaleAnswer,
  RescaleRequest,
  SavepointAnswer,
  SavepointProgress,
  SavepointRequest,
  SavepointStatus,
  SubmitOutcome,
} from "../format/job-status.ts";
import { heartbeatInterval, MiB } from "../format/limits.ts";
import type {
  AlignmentReport,
  AttemptOutcome,
  CheckpointAck,
  CheckpointDecline,
  CoordinatorTaskApi,
  HeartbeatOutcome,
  JobSubmission,
  JobSummary,
  SubtaskApi,
  TaskFailure,
} from "../format/messages.ts";
import { encodeManifest } from "../format/manifest.ts";
import { jobPrefix } from "../format/paths.ts";
import { decodeValue, encodeValue } from "../format/value.ts";
import type { Programs } from "./changed-code.ts";
import type { Effect, Silence } from "./effects.ts";
import { Job } from "./job.ts";
import type { JobRecord } from "./job-record.ts";
import { BucketStore, type CheckpointStore, InlineStore, type Sql } from "./manifest-store.ts";
import { collectable } from "./retention.ts";

/** What the coordinator needs bound. */
export interface CoordinatorEnv {
  readonly SUBTASK: { getByName(name: string): SubtaskApi };
  readonly COORDINATOR: { getByName(name: string): CoordinatorPeerApi };
  readonly DISPATCHER: { getByName(name: string): { update(summary: JobSummary): Promise<void> } };
  readonly BUCKET: R2Bucket;
}

/** Bytes of a job's record in one row; SQLite here takes 2 MB. */
const recordPartBytes = 1 * MiB;

/** The `Coordinator` class of an application: it runs jobs of `programs`. */
export function coordinatorClass(programs: Programs) {
  return class Coordinator
    extends DurableObject<CoordinatorEnv>
    implements CoordinatorTaskApi, CoordinatorJobApi, CoordinatorPeerApi
  {
    #job: Job | undefined;
    #ownStore: CheckpointStore | undefined;
    /** The alarm this instance has set; what an earlier one set is not known. */
    #alarmAt: Millis | undefined;

    constructor(ctx: DurableObjectState, env: CoordinatorEnv) {
      super(ctx, env);
      this.#sql(
        "CREATE TABLE IF NOT EXISTS job_record (part INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
      );
      this.#sql(
        "CREATE TABLE IF NOT EXISTS checkpoint (id INTEGER PRIMARY KEY, record BLOB NOT NULL)",
      );
      this.#sql(
        "CREATE TABLE IF NOT EXISTS renounced " +
          "(owner TEXT NOT NULL, nth INTEGER NOT NULL, PRIMARY KEY (owner, nth))",
      );
      const parts = this.#sql("SELECT bytes FROM job_record ORDER BY part");
      if (parts.length === 0) return;
      const record = decode<JobRecord>(joined(parts.map((row) => row["bytes"] as Uint8Array)));
      const history = this.#sql("SELECT record FROM checkpoint").map((row) =>
        decode<CheckpointRecord>(row["record"] as Uint8Array),
      );
      const { job, effects } = Job.reloaded(record, history, now(), programs);
      this.#job = job;
      this.#perform(effects);
    }

    /** Starts the job; repeated, it is the same job. */
    async submit(submission: JobSubmission): Promise<SubmitOutcome> {
      if (this.#job !== undefined) return { kind: "known" };
      const { hold, path } = submission.restore ?? {};
      if (hold !== undefined && this.#hasRenounced(hold)) {
        return { kind: "refused", reason: `${path} is not held for it any more.` };
      }
      return this.#wholly(() => {
        const { job, effects } = Job.submitted(submission, now());
        this.#job = job;
        this.#perform(effects);
        return { kind: "submitted" };
      });
    }

    async hold(request: HoldRequest): Promise<HoldAnswer> {
      const job = this.#job;
      if (job === undefined) return { kind: "absent" };
      const answer = this.#wholly(() => {
        const { answer: given, effects } = job.hold(request, now());
        this.#perform(effects);
        return given;
      });
      if (answer.kind !== "held") return answer;
      const copy = job.copyFor(answer.hold.nth);
      if (copy === undefined) return answer;
      const reason = await this.#copied(copy);
      if (reason === undefined) return answer;
      await this.withdraw(answer.hold.nth);
      return { kind: "unavailable", reason };
    }

    async withdraw(nth: number): Promise<void> {
      this.#handle((job, at) => job.withdrawn(nth, at));
    }

    async letGo(nth: number): Promise<void> {
      this.#handle((job, at) => job.released(nth, at));
    }

    async needs(hold: HoldKey): Promise<boolean> {
      if (this.#job !== undefined) return this.#job.needs(hold);
      const { owner, nth } = hold;
      this.#sql("INSERT OR IGNORE INTO renounced (owner, nth) VALUES (?, ?)", owner, nth);
      return false;
    }

    async cancel(): Promise<{ kind: "cancelling" | "ended" }> {
      const job = this.#job;
      if (job === undefined) return { kind: "ended" };
      return this.#wholly(() => {
        const { outcome, effects } = job.cancel(now());
        this.#perform(effects);
        return { kind: outcome };
      });
    }

    async savepoint(request: SavepointRequest): Promise<SavepointAnswer> {
      const job = this.#job;
      if (job === undefined) return { kind: "refused", reason: "The job is not submitted yet." };
      return this.#wholly(() => {
        const { answer, effects } = job.savepoint(request, now());
        this.#perform(effects);
        return answer;
      });
    }

    async rescale(request: RescaleRequest): Promise<RescaleAnswer> {
      const job = this.#job;
      if (job === undefined) return { kind: "refused", reason: "The job is not submitted yet." };
      return this.#wholly(() => {
        const { answer, effects } = job.rescale(request, now());
        this.#perform(effects);
        return answer;
      });
    }

    async savepointStatus(trigger: string): Promise<SavepointStatus | undefined> {
      return this.#job?.savepointStatus(trigger);
    }

    async savepointProgress(trigger: string): Promise<SavepointProgress | undefined> {
      return this.#job?.savepointProgress(trigger);
    }

    async checkpoint(request: CheckpointRequest): Promise<CheckpointAnswer> {
      const job = this.#job;
      if (job === undefined) return { kind: "refused", reason: "The job is not submitted yet." };
      return this.#wholly(() => {
        const { answer, effects } = job.checkpoint(request, now());
        this.#perform(effects);
        return answer;
      });
    }

    async checkpointStatus(trigger: string): Promise<CheckpointStatus | undefined> {
      return this.#job?.checkpointStatus(trigger);
    }

    async needOf(savepoint: string): Promise<string | undefined> {
      return this.#job?.needOf(savepoint);
    }

    async details(): Promise<JobDetails | undefined> {
      return this.#job?.details();
    }

    async checkpoints(): Promise<CheckpointOverview | undefined> {
      return this.#job?.overview();
    }

    async health(): Promise<JobHealth | undefined> {
      return this.#job?.health();
    }

    async retained(checkpoint: number): Promise<RetainedAnswer> {
      const all = this.#job?.retained ?? [];
      const found = all.find(({ id }) => id === checkpoint);
      if (found === undefined) return { kind: "none", retained: all.map(({ id }) => id) };
      const { path } = found;
      if (!(this.#store instanceof InlineStore)) return { kind: "retained", path };
      const loaded = await this.#store.load(path);
      if (loaded.kind === "failed") return { kind: "unreadable", reason: loaded.message };
      return { kind: "retained", path, manifest: loaded.manifest };
    }

    async acknowledge(ack: CheckpointAck): Promise<void> {
      this.#handle((job, at) => job.acknowledged(ack, at));
    }

    async decline(decline: CheckpointDecline): Promise<void> {
      this.#handle((job, at) => job.declined(decline, at));
    }

    async taskFailed(failure: TaskFailure): Promise<void> {
      this.#handle((job, at) => job.taskFailed(failure, at));
    }

    async active(attempt: Attempt, task: TaskId): Promise<void> {
      this.#handle((job, at) => job.active(attempt, task, at));
    }

    async ended(attempt: Attempt, task: TaskId): Promise<void> {
      this.#handle((job, at) => job.ended(attempt, task, at));
    }

    async reportAlignment(report: AlignmentReport): Promise<number | undefined> {
      const job = this.#job;
      if (job === undefined) return undefined;
      return this.#wholly(() => {
        const { least, effects } = job.alignmentReported(report, now());
        this.#perform(effects);
        return least;
      });
    }

    override async alarm(): Promise<void> {
      this.#alarmAt = undefined;
      const job = this.#job;
      if (job === undefined) return;
      try {
        // Waited for, so that it stands whatever becomes of the work: an alarm that is not set again
        // is a job that sleeps for good.
        if (job.nextWakeAt() !== undefined) {
          this.#alarmAt = millis(now() + heartbeatInterval);
          await this.ctx.storage.setAlarm(this.#alarmAt);
        }
        this.#handle((current, at) => current.tick(at));
      } catch (error) {
        console.error(`Coordinator ${job.id}: ${messageOf(error)}`);
      }
    }

    #handle(event: (job: Job, at: Millis) => Effect[]): void {
      const job = this.#job;
      if (job !== undefined) this.#wholly(() => this.#perform(event(job, now())));
    }

    /** Runs one event to its end, or gives up the instance (D4). */
    #wholly<T>(event: () => T): T {
      try {
        return event();
      } catch (error) {
        console.error(`Coordinator ${this.#job?.id} starts over: ${messageOf(error)}`);
        this.ctx.abort(messageOf(error));
        throw error;
      }
    }

    #perform(effects: readonly Effect[]): void {
      for (const effect of effects) this.#performOne(effect);
      const wakeAt = this.#job?.nextWakeAt();
      if (wakeAt !== undefined) this.#arm(wakeAt);
      else this.#disarm();
    }

    #performOne(effect: Effect): void {
      switch (effect.kind) {
        case "persist":
          return this.#persist(effect);
        case "loadManifest":
          return this.#later(async () => {
            const { attempt, checkpoint } = effect;
            const outcome = await this.#storeOf(checkpoint.path).load(checkpoint.path);
            this.#handle((job, at) =>
              outcome.kind === "loaded"
                ? job.manifestLoaded(attempt, outcome.manifest, at)
                : job.manifestFailed(attempt, outcome, at),
            );
          });
        case "deploy":
          for (const deployment of effect.deployments) {
            const { attempt, task } = deployment;
            this.#later(async () => {
              const outcome = await this.#call(task, (subtask) => subtask.deploy(deployment));
              this.#handle((job, at) =>
                outcome.kind === "silent"
                  ? job.deployed(attempt, task, { kind: "refused", reason: outcome.message }, at)
                  : job.deployed(attempt, task, outcome, at),
              );
            });
          }
          return;
        case "start":
          return this.#ask(effect, (subtask) => subtask.start(effect.attempt), {
            answered: (job, task, outcome, at) => job.started(effect.attempt, task, outcome, at),
          });
        case "trigger": {
          const { attempt, checkpoint, purpose } = effect;
          return this.#ask(
            effect,
            (subtask) => subtask.triggerCheckpoint(attempt, checkpoint, purpose),
            {
              answered: (job, task, outcome, at) =>
                job.triggered(attempt, checkpoint, task, outcome, at),
            },
          );
        }
        case "publish":
          return this.#later(async () => {
            const { attempt, candidate, bytes } = effect;
            const outcome = await this.#storeOf(candidate.path).publish(candidate.path, bytes);
            this.#handle((job, at) => job.published(attempt, candidate, outcome, at));
          });
        case "probeManifest":
          return this.#later(async () => {
            const { path } = effect.candidate;
            const outcome = await this.#storeOf(path).load(path);
            this.#handle((job, at) =>
              job.recovered(effect.candidate, outcome.kind === "loaded", at),
            );
          });
        case "notifyComplete":
          return this.#hear(effect, (subtask) =>
            subtask.notifyComplete(effect.attempt, effect.checkpoint),
          );
        case "notifyAborted":
          return this.#hear(effect, (subtask) =>
            subtask.notifyAborted(effect.attempt, effect.checkpoint),
          );
        case "heartbeat":
          return this.#hear(effect, (subtask) => subtask.heartbeat(effect.attempt));
        case "rest": {
          const { attempt, checkpoint, round } = effect;
          return this.#ask(effect, (subtask) => subtask.rest(attempt, checkpoint), {
            answered: (job, task, outcome, at) => job.rested(attempt, task, round, outcome, at),
          });
        }
        case "align": {
          const { attempt, least } = effect;
          return this.#ask(effect, (subtask) => subtask.align(attempt, least), {
            answered: (job, task, outcome, at) => job.alignmentTold(attempt, task, outcome, at),
          });
        }
        case "cancelTasks":
          for (const task of effect.tasks) {
            this.#later(async () => {
              await this.#subtask(task).cancel(effect.attempt, effect.keepsTables);
              this.#handle((job, at) => job.tasksCancelled(effect.attempt, [task], at));
            });
          }
          return;
        case "deleteFiles":
          return this.#later(async () => {
            try {
              await this.#store.delete(effect.paths);
            } catch (error) {
              this.#handle((job, at) => job.notDeleted(at));
              throw error;
            }
          });
        case "deleteFolder":
          return this.#later(async () => {
            const store = new BucketStore(this.env.BUCKET);
            for await (const paths of store.list(effect.folder)) await store.delete(paths);
            this.#handle((job, at) => job.folderDeleted(effect.folder, at));
          });
        case "sweep":
          return this.#later(async () => {
            await this.#sweep(new Set(effect.reachable), effect.upTo);
            this.#handle((job, at) => job.swept(effect.upTo, at));
          });
        case "askHolder":
          return this.#later(async () => {
            const isNeeded = await this.#peer(effect.by).needs(effect.hold);
            this.#handle((job, at) => job.holderAnswered(effect.hold.nth, isNeeded, at));
          });
        case "letGo":
          return this.#later(async () => {
            await this.#peer(effect.hold.owner).letGo(effect.hold.nth);
            this.#handle((job, at) => job.letGone(at));
          });
        case "discard":
          return this.#later(async () => {
            await new BucketStore(this.env.BUCKET).delete(effect.paths);
            this.#handle((job, at) => job.letGone(at));
          });
        case "announce":
          return this.#later(async () => {
            await this.env.DISPATCHER.getByName(objectName.dispatcher()).update(effect.summary);
            this.#handle((job, at) => job.announced(effect.summary.lastModification, at));
          });
        default:
          effect satisfies never;
      }
    }

    /** Calls every task at once; each answer, or that there was none, becomes an event. */
    #ask<T>(
      { tasks }: { readonly tasks: readonly TaskId[] },
      call: (subtask: SubtaskApi) => Promise<T>,
      on: { answered(job: Job, task: TaskId, outcome: T | Silence, at: Millis): Effect[] },
    ): void {
      for (const task of tasks) {
        this.#later(async () => {
          const outcome = await this.#call(task, call);
          this.#handle((job, at) => on.answered(job, task, outcome, at));
        });
      }
    }

    /** The same, with `heartbeat` as the event. */
    #hear(
      effect: { readonly attempt: Attempt; readonly tasks: readonly TaskId[] },
      call: (subtask: SubtaskApi) => Promise<AttemptOutcome | HeartbeatOutcome>,
    ): void {
      this.#ask(effect, call, {
        answered: (job, task, outcome, at) => job.heartbeat(effect.attempt, task, outcome, at),
      });
    }

    async #call<T>(task: TaskId, call: (subtask: SubtaskApi) => Promise<T>): Promise<T | Silence> {
      try {
        return await call(this.#subtask(task));
      } catch (error) {
        return { kind: "silent", message: messageOf(error) };
      }
    }

    async #sweep(
      reachable: ReadonlySet<string>,
      upTo: Parameters<typeof collectable>[0]["upTo"],
    ): Promise<void> {
      const job = this.#job;
      if (job === undefined) return;
      const store = this.#store;
      for await (const paths of store.list(jobPrefix(job.id))) {
        await store.delete(collectable({ job: job.id, reachable, upTo }, paths));
      }
    }

    #persist({ record, ended, forgotten }: Extract<Effect, { kind: "persist" }>): void {
      // With many retained checkpoints of many files a record outgrows one row.
      const bytes = encodeValue(record);
      const parts = Math.ceil(bytes.length / recordPartBytes);
      for (let part = 0; part < parts; part++) {
        const slice = bytes.subarray(part * recordPartBytes, (part + 1) * recordPartBytes);
        this.#sql("INSERT OR REPLACE INTO job_record (part, bytes) VALUES (?, ?)", part, slice);
      }
      this.#sql("DELETE FROM job_record WHERE part >= ?", parts);
      for (const checkpoint of ended) {
        const stored = encodeValue(checkpoint);
        this.#sql(
          "INSERT OR REPLACE INTO checkpoint (id, record) VALUES (?, ?)",
          checkpoint.id,
          stored,
        );
      }
      for (const id of forgotten) this.#sql("DELETE FROM checkpoint WHERE id = ?", id);
    }

    #arm(at: Millis): void {
      if (this.#alarmAt === at) return;
      this.#alarmAt = at;
      this.#later(() => this.ctx.storage.setAlarm(at));
    }

    #disarm(): void {
      if (this.#alarmAt === undefined) return;
      this.#alarmAt = undefined;
      this.#later(() => this.ctx.storage.deleteAlarm());
    }

    /** Work that goes on after the event; its failures are told, not thrown. */
    #later(work: () => Promise<void>): void {
      this.ctx.waitUntil(
        work().catch((error: unknown) => {
          console.warn(`Coordinator ${this.#job?.id}: ${messageOf(error)}`);
        }),
      );
    }

    #subtask(task: TaskId): SubtaskApi {
      const job = this.#job;
      if (job === undefined) throw new Error("A coordinator without a job has no subtasks.");
      return this.env.SUBTASK.getByName(objectName.subtask(job.id, task));
    }

    #peer(job: JobId): CoordinatorPeerApi {
      return this.env.COORDINATOR.getByName(objectName.coordinator(job));
    }

    #hasRenounced({ owner, nth }: HoldKey): boolean {
      const query = "SELECT 1 FROM renounced WHERE owner = ? AND nth = ?";
      return this.#sql(query, owner, nth).length > 0;
    }

    /** Puts a manifest that is in here into the bucket; why not, where that failed. */
    async #copied({ from, to }: { from: string; to: string }): Promise<string | undefined> {
      const loaded = await this.#store.load(from);
      if (loaded.kind === "failed") return loaded.message;
      const bytes = encodeManifest(loaded.manifest, to);
      const outcome = await new BucketStore(this.env.BUCKET).publish(to, bytes);
      return outcome.kind === "created" ? undefined : outcome.message;
    }

    /** Where the job's checkpoints are. */
    get #store(): CheckpointStore {
      this.#ownStore ??=
        this.#job?.config.checkpointing.storage === "inline"
          ? new InlineStore(this.#sql)
          : new BucketStore(this.env.BUCKET);
      return this.#ownStore;
    }

    /** Where that file is: savepoints and other jobs' are in the bucket, wherever this one's are. */
    #storeOf(path: string): CheckpointStore {
      const job = this.#job;
      const isOwn = job !== undefined && path.startsWith(jobPrefix(job.id));
      return isOwn ? this.#store : new BucketStore(this.env.BUCKET);
    }

    readonly #sql: Sql = (query, ...bindings) => {
      // A view is bound as the buffer behind it, so what is bound has a buffer of its own.
      const values = bindings.map((value) =>
        value instanceof Uint8Array ? (value.slice().buffer as ArrayBuffer) : value,
      );
      const rows = this.ctx.storage.sql.exec(query, ...values).toArray();
      return rows.map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([column, value]) => [
            column,
            value instanceof ArrayBuffer ? new Uint8Array(value) : value,
          ]),
        ),
      );
    };
  };
}

const now = (): Millis => millis(Date.now());

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

const decode = <T>(bytes: Uint8Array): T => decodeValue(bytes) as T;
