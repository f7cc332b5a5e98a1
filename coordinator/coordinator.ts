// The Durable Object around one job: turns calls, alarms and answers into events of the job core,
// writes what the core says, performs its effects, feeds the results back.
//   D1. Events run one at a time and without an await inside, so the core never sees two at once.
//   D2. What an effect needs durable is written before the effect is performed; the output gate
//       then holds the effect's messages back until the write is.
//   D3. The alarm is set again before its work begins, and its handler never throws.

import { DurableObject } from "cloudflare:workers";
import { type Attempt, type Millis, millis, objectName, type TaskId } from "../format/ids.ts";
import type { CheckpointOverview, CheckpointRecord, JobDetails } from "../format/job-status.ts";
import { heartbeatInterval } from "../format/limits.ts";
import type {
  AttemptOutcome,
  CheckpointAck,
  CheckpointDecline,
  CoordinatorTaskApi,
  DeployOutcome,
  HeartbeatOutcome,
  JobSubmission,
  JobSummary,
  SubtaskApi,
  TaskFailure,
} from "../format/messages.ts";
import { jobPrefix } from "../format/paths.ts";
import { decodeValue, encodeValue } from "../format/value.ts";
import { historyMax } from "./checkpoints.ts";
import { type Effect, isTerminal, Job, type JobRecord } from "./job.ts";
import { loadManifest, publishManifest } from "./manifest-store.ts";
import { collectable } from "./retention.ts";

/** What the coordinator needs bound. */
export interface CoordinatorEnv {
  readonly SUBTASK: { getByName(name: string): SubtaskApi };
  readonly DISPATCHER: { getByName(name: string): { update(summary: JobSummary): Promise<void> } };
  readonly BUCKET: R2Bucket;
}

/** Keys that one R2 call deletes. */
const deleteBatch = 1_000;

export class Coordinator extends DurableObject<CoordinatorEnv> implements CoordinatorTaskApi {
  #job: Job | undefined;
  #alarmAt: number | undefined;

  constructor(ctx: DurableObjectState, env: CoordinatorEnv) {
    super(ctx, env);
    this.#sql("CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY CHECK (id = 0), record BLOB NOT NULL)");
    this.#sql("CREATE TABLE IF NOT EXISTS checkpoint (id INTEGER PRIMARY KEY, record BLOB NOT NULL)");
    const stored = this.#sql("SELECT record FROM job").toArray()[0];
    if (stored === undefined) return;
    const history = this.#sql("SELECT record FROM checkpoint ORDER BY id DESC").toArray();
    const { job, effects } = Job.reloaded(
      decode<JobRecord>(stored["record"]),
      history.map((row) => decode<CheckpointRecord>(row["record"])),
      now(),
    );
    this.#job = job;
    this.#perform(effects);
  }

  /** Starts the job; repeated, it is the same job. */
  async submit(submission: JobSubmission): Promise<void> {
    if (this.#job !== undefined) return;
    const { job, effects } = Job.submitted(submission, now());
    this.#job = job;
    this.#perform(effects);
  }

  async cancel(): Promise<{ kind: "cancelling" | "ended" }> {
    const result = this.#job?.cancel(now());
    this.#perform(result?.effects ?? []);
    return { kind: result?.outcome ?? "ended" };
  }

  async details(): Promise<JobDetails | undefined> {
    return this.#job?.details();
  }

  async checkpoints(): Promise<CheckpointOverview | undefined> {
    return this.#job?.overview();
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

  override async alarm(): Promise<void> {
    this.#alarmAt = undefined;
    if (this.#job === undefined) return;
    if (!isTerminal(this.#job.phase)) this.#arm(millis(now() + heartbeatInterval));
    this.#handle((job, at) => job.tick(at));
  }

  #handle(event: (job: Job, at: Millis) => Effect[]): void {
    if (this.#job === undefined) return;
    this.#perform(event(this.#job, now()));
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) this.#performOne(effect);
    const wakeAt = this.#job?.nextWakeAt();
    if (wakeAt !== undefined) this.#arm(wakeAt);
    else if (this.#job !== undefined) this.#disarm();
  }

  #performOne(effect: Effect): void {
    switch (effect.kind) {
      case "persist":
        return this.#persist(effect.record, effect.ended);
      case "loadManifest":
        return this.#later(async () => {
          const { attempt, checkpoint } = effect;
          const outcome = await loadManifest(this.env.BUCKET, checkpoint.path);
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
            const outcome = await this.#subtask(task)
              .deploy(deployment)
              .catch((error: unknown): DeployOutcome => ({ kind: "refused", reason: messageOf(error) }));
            this.#handle((job, at) => job.deployed(attempt, task, outcome, at));
          });
        }
        return;
      case "start":
        return this.#tellAll(effect.tasks, effect.attempt, (subtask) => subtask.start(effect.attempt), {
          answered: (job, task, outcome, at) => job.started(effect.attempt, task, outcome, at),
        });
      case "trigger":
        return this.#tellAll(
          effect.tasks,
          effect.attempt,
          (subtask) => subtask.triggerCheckpoint(effect.attempt, effect.checkpoint),
          {
            answered: (job, task, outcome, at) =>
              outcome.kind === "ok"
                ? []
                : job.taskFailed(
                    { attempt: effect.attempt, task, name: "SubtaskLost", message: "It has lost its memory." },
                    at,
                  ),
          },
        );
      case "publish":
        return this.#later(async () => {
          const outcome = await publishManifest(this.env.BUCKET, effect.candidate.path, effect.bytes);
          this.#handle((job, at) => job.published(effect.attempt, effect.candidate, outcome, at));
        });
      case "probeManifest":
        return this.#later(async () => {
          const outcome = await loadManifest(this.env.BUCKET, effect.candidate.path);
          this.#handle((job, at) => job.recovered(effect.candidate, outcome.kind === "loaded", at));
        });
      case "notifyComplete":
        return this.#askAll(effect.tasks, effect.attempt, (subtask) =>
          subtask.notifyComplete(effect.attempt, effect.checkpoint),
        );
      case "heartbeat":
        return this.#askAll(effect.tasks, effect.attempt, (subtask) => subtask.heartbeat(effect.attempt));
      case "notifyAborted":
        return this.#tellAll(effect.tasks, effect.attempt, (subtask) =>
          subtask.notifyAborted(effect.attempt, effect.checkpoint),
        );
      case "cancelTasks":
        return this.#later(async () => {
          await Promise.allSettled(effect.tasks.map((task) => this.#subtask(task).cancel(effect.attempt)));
          this.#handle((job, at) => job.tasksCancelled(effect.attempt, at));
        });
      case "deleteFiles":
        return this.#later(() => this.#deleteFiles(effect.paths));
      case "sweep":
        return this.#later(() => this.#sweep(new Set(effect.reachable), effect.upTo));
      case "announce":
        return this.#later(async () => {
          await this.env.DISPATCHER.getByName(objectName.dispatcher()).update(effect.summary);
          this.#handle((job, at) => job.announced(effect.summary.lastModification, at));
        });
      default:
        effect satisfies never;
    }
  }

  /** Calls every task; an answer becomes an event, a failed call is left to the heartbeat. */
  #tellAll(
    tasks: readonly TaskId[],
    attempt: Attempt,
    call: (subtask: SubtaskApi) => Promise<AttemptOutcome>,
    on?: { answered: (job: Job, task: TaskId, outcome: AttemptOutcome, at: Millis) => Effect[] },
  ): void {
    for (const task of tasks) {
      this.#later(async () => {
        try {
          const outcome = await call(this.#subtask(task));
          if (on !== undefined) this.#handle((job, at) => on.answered(job, task, outcome, at));
        } catch (error) {
          const message = messageOf(error);
          this.#handle((job, at) => job.heartbeat(attempt, task, { kind: "silent", message }, at));
        }
      });
    }
  }

  #askAll(
    tasks: readonly TaskId[],
    attempt: Attempt,
    call: (subtask: SubtaskApi) => Promise<HeartbeatOutcome>,
  ): void {
    for (const task of tasks) {
      this.#later(async () => {
        const outcome = await call(this.#subtask(task)).catch((error: unknown) => ({
          kind: "silent" as const,
          message: messageOf(error),
        }));
        this.#handle((job, at) => job.heartbeat(attempt, task, outcome, at));
      });
    }
  }

  async #deleteFiles(paths: readonly string[]): Promise<void> {
    for (let from = 0; from < paths.length; from += deleteBatch) {
      await this.env.BUCKET.delete(paths.slice(from, from + deleteBatch));
    }
  }

  async #sweep(reachable: ReadonlySet<string>, upTo: Parameters<typeof collectable>[0]["upTo"]): Promise<void> {
    const job = this.#job;
    if (job === undefined) return;
    let cursor: string | undefined;
    do {
      const page: R2Objects = await this.env.BUCKET.list({
        prefix: jobPrefix(job.id),
        ...(cursor !== undefined && { cursor }),
      });
      const paths = page.objects.map((object) => object.key);
      await this.#deleteFiles(collectable({ job: job.id, reachable, upTo }, paths));
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor !== undefined);
  }

  #persist(record: JobRecord, ended: readonly CheckpointRecord[]): void {
    this.#sql("INSERT OR REPLACE INTO job (id, record) VALUES (0, ?)", bytesOf(record));
    for (const checkpoint of ended) {
      this.#sql("INSERT OR REPLACE INTO checkpoint (id, record) VALUES (?, ?)", checkpoint.id, bytesOf(checkpoint));
      this.#sql("DELETE FROM checkpoint WHERE id <= ?", checkpoint.id - historyMax);
    }
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

  #sql(query: string, ...bindings: SqlStorageValue[]): SqlStorageCursor<Record<string, SqlStorageValue>> {
    return this.ctx.storage.sql.exec(query, ...bindings);
  }
}

const now = (): Millis => millis(Date.now());

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const bytesOf = (value: unknown): ArrayBuffer => encodeValue(value).slice().buffer as ArrayBuffer;

const decode = <T>(value: SqlStorageValue | undefined): T =>
  decodeValue(new Uint8Array(value as ArrayBuffer)) as T;
