// The Durable Object around one subtask: knows which attempt it runs, refuses the others, and finds
// out when it has lost its memory.
//   V1. The attempt is stored before its deployment is answered, so an older one is refused even
//       after an eviction.
//   V2. An attempt whose memory was lost is never taken up again here; the coordinator begins
//       another.
//   V3. The alarm is set again before its work begins, and its handler never throws.
//   V4. Resting, an attempt is its image in this object's storage, and nothing in memory counts. A
//       call that changes nothing is answered from it.
//   V5. Any other call removes the image, sets the watch alarm and tells the coordinator, all before
//       it is carried out. The output gate holds back what leaves until the removal is durable, so no
//       image is ever behind what others have seen; from then on V2 holds again.
//   V6. An attempt that has finished and has tables is its image before anybody hears that it has, and
//       stays it: nothing is new to it, and nothing removes the image but another attempt. Tables are
//       read from it as long as there is this object.

import { DurableObject } from "cloudflare:workers";
import { encodeRows } from "../format/batch.ts";
import {
  type Attempt,
  type CheckpointId,
  type JobId,
  millis,
  type TaskId,
  taskKey,
} from "../format/ids.ts";
import type { Purpose } from "../format/frame.ts";
import { heartbeatTimeout, readWait } from "../format/limits.ts";
import type {
  AttemptOutcome,
  DeployOutcome,
  HeartbeatOutcome,
  OpenChannel,
  OpenOutcome,
  RestOutcome,
  StateAnswer,
  StateQuery,
  SubtaskApi,
  TableAnswer,
  TableQuery,
  TaskDeployment,
  TaskFailure,
  TaskMetrics,
} from "../format/messages.ts";
import { channelKey } from "../format/plan.ts";
import type { SqlDatabase } from "../format/sql.ts";
import { StateRows } from "../operators/state/sqlite-rows.ts";
import type { JobDefinition } from "../stream/job.ts";
import { ImageRows } from "./image.ts";
import { LocalSegments, localSegmentsKept, localSegmentsOf } from "./local-segments.ts";
import { ownGraph } from "./own-graph.ts";
import { report } from "./shell/reports.ts";
import { sharedTexts } from "./shell/shared-texts.ts";
import { loadState } from "./shell/state-files.ts";
import { type SubtaskEnv, TaskRun } from "./shell/task-run.ts";
import { holdsState } from "./state-backend.ts";
import { Task } from "./task.ts";

/** Milliseconds between the alarms by which a running subtask notices that it was evicted. */
const watchInterval = 10_000;

/** Milliseconds for which the state of a cancelled attempt stays in its object. */
const rowsKeptFor = 60 * 60_000;

/** What is known of the attempt without memory. */
interface StoredAttempt {
  readonly attempt: Attempt;
  /** Who runs it; absent once it was cancelled. */
  readonly active?: { readonly job: JobId; readonly task: TaskId };
  /** Present exactly while there is an image; what can be told without reading it. */
  readonly resting?: {
    readonly checkpoint: CheckpointId;
    readonly metrics: TaskMetrics;
    /** When its next timer is due. */
    readonly timerAt?: number;
    /** It has finished with that checkpoint (V6). */
    readonly isFinished?: true;
  };
}

export interface SubtaskTimeouts {
  /** Milliseconds to wait for an answer of another object before something is done about it. */
  readonly patience: number;
  /** Milliseconds that a read at the end of a topic waits there for new records. */
  readonly readWait: number;
}

/** The `Subtask` class of an application: it runs the operators of `programs`. */
export function subtaskClass(
  programs: ReadonlyMap<string, JobDefinition>,
  timeouts: SubtaskTimeouts = { patience: heartbeatTimeout, readWait },
) {
  return class Subtask extends DurableObject<SubtaskEnv> implements SubtaskApi {
    readonly #images: ImageRows;
    #stored: StoredAttempt | undefined;
    #run: TaskRun | undefined;
    /** The attempt whose state is being loaded. */
    #loading: Attempt | undefined;
    /** How often a partition has called: what it said may be news to a source that is to rest. */
    #appends = 0;

    constructor(ctx: DurableObjectState, env: SubtaskEnv) {
      super(ctx, env);
      ctx.storage.sql.exec(
        "CREATE TABLE IF NOT EXISTS attempt (id INTEGER PRIMARY KEY CHECK (id = 0), record TEXT NOT NULL)",
      );
      const row = ctx.storage.sql
        .exec<{ record: string }>("SELECT record FROM attempt")
        .toArray()[0];
      if (row !== undefined) this.#stored = JSON.parse(row.record) as StoredAttempt;
      this.#images = new ImageRows(this.#database());
    }

    async deploy(deployment: TaskDeployment): Promise<DeployOutcome> {
      const { attempt, job, task } = deployment;
      const known = this.#stored;
      if (known !== undefined && attempt < known.attempt)
        return { kind: "stale", current: known.attempt };
      if (known?.attempt === attempt) {
        if (this.#runOf(attempt) !== undefined || this.#rests(attempt)) return { kind: "deployed" };
        return { kind: "refused", reason: `It has lost the memory of attempt ${attempt}.` };
      }
      const own = ownGraph(programs, deployment);
      if (own.kind === "other") {
        return { kind: "refused", reason: own.reason, fault: "otherCode" };
      }
      this.#run?.over();
      this.#run = undefined;
      this.#images.remove();
      this.#store({ attempt, active: { job, task } });
      await this.ctx.storage.setAlarm(Date.now() + watchInterval);
      const database = this.#database();
      const local = localSegmentsOf(deployment, database);
      const isHeld = holdsState(deployment, database);
      const isCurrent = (): boolean =>
        this.#stored?.attempt === attempt && this.#stored.active !== undefined;
      this.#loading = attempt;
      const loaded = await loadState(
        { bucket: this.env.BUCKET, local, isHeld, database, isCurrent },
        deployment,
        own.graph,
      );
      // While the state was read a newer attempt may have been deployed, or this one cancelled.
      if (this.#loading === attempt) this.#loading = undefined;
      if (!isCurrent()) return { kind: "stale", current: this.#stored?.attempt ?? attempt };
      if (loaded.kind !== "loaded") {
        const { kind, reason } = loaded;
        return { kind: "refused", reason, ...(kind === "damaged" && { fault: "damagedState" }) };
      }
      this.#run = new TaskRun(
        new Task(
          deployment,
          own.graph,
          loaded.state,
          millis(Date.now()),
          database,
          undefined,
          sharedTexts(job),
        ),
        this.env,
        { ...timeouts, local, restored: loaded.bytes, uncopied: loaded.uncopied },
      );
      return { kind: "deployed" };
    }

    async start(attempt: Attempt): Promise<AttemptOutcome> {
      if (this.#rests(attempt)) return { kind: "ok" };
      return this.#within(attempt, (run) => run.start());
    }

    async triggerCheckpoint(
      attempt: Attempt,
      checkpoint: CheckpointId,
      purpose?: Purpose,
    ): Promise<AttemptOutcome> {
      return this.#within(attempt, (run) =>
        run.handle((now) => run.task.trigger(checkpoint, now, purpose)),
      );
    }

    async notifyComplete(attempt: Attempt, checkpoint: CheckpointId): Promise<HeartbeatOutcome> {
      if (!this.#rests(attempt, checkpoint)) {
        this.#within(attempt, (run) => run.notifyComplete(checkpoint));
      }
      return this.heartbeat(attempt);
    }

    async notifyAborted(attempt: Attempt, checkpoint: CheckpointId): Promise<AttemptOutcome> {
      if (this.#rests(attempt, checkpoint)) return { kind: "ok" };
      return this.#within(attempt, (run) =>
        run.handle((now) => run.task.notifyAborted(checkpoint, now)),
      );
    }

    async heartbeat(attempt: Attempt): Promise<HeartbeatOutcome> {
      const resting = this.#rests(attempt);
      if (resting !== undefined) {
        const { metrics, checkpoint, isFinished } = resting;
        const stopped = isFinished && { stopped: { checkpoint, isCommitted: true } };
        const activity = { isIdle: true, cleanSince: checkpoint, ...stopped };
        return { kind: "ok", metrics, activity };
      }
      const outcome = this.#within(attempt, () => {});
      const run = this.#runOf(attempt);
      if (outcome.kind !== "ok" || run === undefined)
        return outcome as Exclude<AttemptOutcome, { kind: "ok" }>;
      const { finishedWith, hasTables } = run.task;
      if (finishedWith === undefined || !hasTables) {
        return { kind: "ok", metrics: run.metrics, activity: run.activity };
      }
      await this.#rest(run, finishedWith, { isFinished: true });
      return this.heartbeat(attempt);
    }

    async rest(attempt: Attempt, checkpoint: CheckpointId): Promise<RestOutcome> {
      if (this.#rests(attempt)) return { kind: "resting" };
      const outcome = this.#within(attempt, () => {});
      const run = this.#runOf(attempt);
      if (outcome.kind !== "ok" || run === undefined)
        return outcome as Exclude<AttemptOutcome, { kind: "ok" }>;
      if (!run.mayRest(checkpoint)) return { kind: "busy" };
      // It is complete, and whoever should have said so may not have been heard.
      run.notifyComplete(checkpoint);
      const appends = this.#appends;
      const { cleanSince } = run.activity;
      const isSubscribed = await run.subscribe().catch((error: unknown) => {
        console.warn(`Subtask ${taskKey(run.task.deployment.task)} cannot rest: ${String(error)}`);
        return false;
      });
      // While the partitions were asked, anything may have happened.
      if (this.#rests(attempt)) return { kind: "resting" };
      const isUnchanged =
        this.#runOf(attempt) === run &&
        this.#appends === appends &&
        run.activity.cleanSince === cleanSince;
      if (!isSubscribed || !isUnchanged || !run.mayRest(checkpoint)) return { kind: "busy" };
      await this.#rest(run, checkpoint);
      return { kind: "resting" };
    }

    async appended(attempt: Attempt, partition: number): Promise<AttemptOutcome> {
      this.#appends++;
      return this.#within(attempt, (run) => run.handle((now) => run.task.appended(partition, now)));
    }

    async align(attempt: Attempt, least?: number): Promise<AttemptOutcome> {
      return this.#within(attempt, (run) => run.handle((now) => run.task.align(least, now)));
    }

    async cancel(attempt: Attempt, keepsTables?: true): Promise<void> {
      if (this.#stored !== undefined && this.#stored.attempt > attempt) return;
      if (keepsTables && this.#rests(attempt)?.isFinished) {
        return LocalSegments.drop(this.#database());
      }
      this.#run?.over();
      this.#run = undefined;
      this.#images.remove();
      this.#store({ attempt });
      // The next attempt may begin with the rows; where none comes, nothing is left behind.
      const database = this.#database();
      if (StateRows.exist(database) || LocalSegments.exist(database)) {
        await this.ctx.storage.setAlarm(Date.now() + rowsKeptFor);
      } else {
        await this.ctx.storage.deleteAlarm();
      }
    }

    async open({ attempt, channel }: OpenChannel): Promise<OpenOutcome> {
      const outcome = this.#within(attempt, () => {});
      const run = this.#runOf(attempt);
      if (outcome.kind !== "ok" || run === undefined)
        return outcome as Exclude<AttemptOutcome, { kind: "ok" }>;
      const key = channelKey(channel);
      const input = run.task.inputs.findIndex((candidate) => channelKey(candidate) === key);
      if (input === -1) throw new Error(`Channel ${key} does not lead here.`);
      return { kind: "open", ...run.task.position(input), session: run.session(input) };
    }

    async readTable(query: TableQuery): Promise<TableAnswer> {
      const resting = this.#stored?.resting && this.#stored.attempt;
      const run = resting === undefined ? this.#run : this.#rebuilt(resting);
      const table = run?.task.table(query.table);
      if (table === undefined) return { kind: "unknown" };
      const { rows, page } = table.select(query);
      return {
        kind: "rows",
        rows: encodeRows(rows),
        checkpoint: table.committedCheckpoint,
        ...(page && { page: { ...page, keys: encodeRows(page.keys) } }),
      };
    }

    async readState(query: StateQuery): Promise<StateAnswer> {
      const resting = this.#stored?.resting && this.#stored.attempt;
      const run = resting === undefined ? this.#run : this.#rebuilt(resting);
      return run?.task.readState(query) ?? { kind: "unknown" };
    }

    override async alarm(): Promise<void> {
      const stored = this.#stored;
      if (stored?.active === undefined) {
        StateRows.drop(this.#database());
        return LocalSegments.drop(this.#database());
      }
      if (stored.resting !== undefined) return this.#ring(stored.attempt, stored.resting.timerAt);
      await this.ctx.storage.setAlarm(Date.now() + watchInterval);
      if (this.#runOf(stored.attempt) !== undefined || this.#loading === stored.attempt) return;
      await this.#failed({
        name: "SubtaskLost",
        message: "It was evicted and has lost its memory.",
      });
    }

    #within(attempt: Attempt, step: (run: TaskRun) => void): AttemptOutcome {
      const current = this.#stored?.attempt;
      if (current !== undefined && attempt < current) return { kind: "stale", current };
      const resting = this.#rests(attempt);
      const run =
        resting === undefined
          ? this.#runOf(attempt)
          : resting.isFinished
            ? this.#rebuilt(attempt)
            : this.#awake(attempt);
      if (run === undefined) return { kind: "unknown" };
      step(run);
      return { kind: "ok" };
    }

    // Rest.

    /** What the attempt rests on; with a checkpoint, only where that one is no news to it. */
    #rests(attempt: Attempt, checkpoint?: CheckpointId): StoredAttempt["resting"] {
      const { resting, attempt: current } = this.#stored ?? {};
      if (current !== attempt || resting === undefined) return undefined;
      return checkpoint === undefined || checkpoint <= resting.checkpoint ? resting : undefined;
    }

    /** Lets go of everything but the image. */
    async #rest(
      run: TaskRun,
      checkpoint: CheckpointId,
      finished?: { readonly isFinished: true },
    ): Promise<void> {
      this.#images.write(run.task.image(checkpoint));
      const { metrics } = run;
      // What has finished has no timers any more.
      const timerAt = finished === undefined ? run.task.nextTimerAt : undefined;
      const resting = { checkpoint, metrics, ...(timerAt !== undefined && { timerAt }) };
      this.#store({ ...this.#stored!, resting: { ...resting, ...finished } });
      run.over();
      this.#run = undefined;
      if (timerAt === undefined) await this.ctx.storage.deleteAlarm();
      else await this.ctx.storage.setAlarm(timerAt);
    }

    /** The alarm of a resting attempt: for its timers, or left over from before. */
    async #ring(attempt: Attempt, timerAt: number | undefined): Promise<void> {
      if (timerAt === undefined) return;
      if (Date.now() < timerAt) return this.ctx.storage.setAlarm(timerAt);
      this.#within(attempt, (run) => run.handle((now) => run.task.tick(now)));
    }

    /** The run of a resting attempt, which still rests (V4). */
    #rebuilt(attempt: Attempt): TaskRun | undefined {
      const known = this.#runOf(attempt);
      if (known !== undefined) return known;
      const isFinished = this.#rests(attempt)?.isFinished === true;
      try {
        const image = this.#images.read();
        const own = ownGraph(programs, image.deployment);
        if (own.kind === "other") {
          return isFinished ? undefined : this.#giveUp(otherCode(own.reason));
        }
        const now = millis(Date.now());
        const database = this.#database();
        const texts = sharedTexts(image.deployment.job);
        const task = Task.fromImage(image, own.graph, now, database, undefined, texts);
        const { restored = { local: 0, remote: 0 } } = this.#stored?.resting?.metrics ?? {};
        const local = localSegmentsKept(image.deployment, database);
        this.#run = new TaskRun(task, this.env, { ...timeouts, local, restored });
        // What was migrated for this code is in no checkpoint, and in the image as it was before.
        if (task.activity.cleanSince === undefined && !isFinished) this.#goOn(this.#run);
        return this.#run;
      } catch (error) {
        if (isFinished) {
          console.error(`The image of a finished subtask cannot be read: ${String(error)}`);
          return undefined;
        }
        const message = `The image that it rested on cannot be read: ${String(error)}`;
        return this.#giveUp({ name: "SubtaskLost", message });
      }
    }

    /** The run of a resting attempt, which rests no longer (V5). */
    #awake(attempt: Attempt): TaskRun | undefined {
      const run = this.#rebuilt(attempt);
      if (run !== undefined && this.#rests(attempt)) this.#goOn(run);
      return run;
    }

    #goOn(run: TaskRun): void {
      this.#forgetImage();
      run.reportActive();
    }

    /** The attempt cannot go on here. */
    #giveUp(failure: Omit<TaskFailure, "attempt" | "task">): undefined {
      this.#forgetImage();
      this.ctx.waitUntil(this.#failed(failure));
    }

    #forgetImage(): void {
      const { resting: _, ...stored } = this.#stored!;
      this.#images.remove();
      this.#store(stored);
      this.ctx.storage.setAlarm(Date.now() + watchInterval).catch((error: unknown) => {
        console.warn(`A subtask has no alarm: ${String(error)}`);
      });
    }

    /** Tells the coordinator; where it does not hear, the next alarm tells it again. */
    async #failed(failure: Omit<TaskFailure, "attempt" | "task">): Promise<void> {
      const { attempt, active } = this.#stored ?? {};
      if (attempt === undefined || active === undefined) return;
      const { job, task } = active;
      try {
        const { COORDINATOR } = this.env;
        await report(
          { coordinators: COORDINATOR, job, patience: timeouts.patience },
          (coordinator) => coordinator.taskFailed({ ...failure, attempt, task }),
        );
      } catch (error) {
        console.warn(`Subtask ${taskKey(task)}: ${String(error)}`);
      }
    }

    /** The run of that attempt, unless it is over or its memory is lost. */
    #runOf(attempt: Attempt): TaskRun | undefined {
      const run = this.#run;
      return run !== undefined && !run.isOver && run.task.deployment.attempt === attempt
        ? run
        : undefined;
    }

    #database(): SqlDatabase {
      const { storage } = this.ctx;
      return {
        exec: (query, ...bindings) => storage.sql.exec(query, ...bindings).toArray(),
        transaction: (work) => storage.transactionSync(work),
      };
    }

    #store(record: StoredAttempt): void {
      this.#stored = record;
      this.ctx.storage.sql.exec(
        "INSERT OR REPLACE INTO attempt (id, record) VALUES (0, ?)",
        JSON.stringify(record),
      );
    }
  };
}

const otherCode = (reason: string): Omit<TaskFailure, "attempt" | "task"> => {
  return {
    name: "OtherCode",
    message: `It woke up in another deployment. ${reason}`,
    fault: "otherCode",
  };
};
