// The Durable Object around one subtask: knows which attempt it runs, refuses the others, and finds
// out when it has lost its memory.
//   V1. The attempt is stored before its deployment is answered, so an older one is refused even
//       after an eviction.
//   V2. An attempt whose memory was lost is never taken up again here; the coordinator begins
//       another.
//   V3. The alarm is set again before its work begins, and its handler never throws.

import { DurableObject } from "cloudflare:workers";
import { encodeRows } from "../format/batch.ts";
import {
  type Attempt,
  type CheckpointId,
  type JobId,
  millis,
  objectName,
  type TaskId,
} from "../format/ids.ts";
import { heartbeatTimeout } from "../format/limits.ts";
import type {
  AttemptOutcome,
  DeployOutcome,
  HeartbeatOutcome,
  OpenChannel,
  OpenOutcome,
  RestOutcome,
  SubtaskApi,
  TableAnswer,
  TableQuery,
  TaskDeployment,
} from "../format/messages.ts";
import { channelKey } from "../format/plan.ts";
import type { SqlDatabase } from "../format/sql.ts";
import { StateRows } from "../operators/state/sqlite-rows.ts";
import { fingerprintOf } from "../stream/fingerprint.ts";
import type { JobDefinition } from "../stream/job.ts";
import { LocalSegments, localSegmentsOf } from "./local-segments.ts";
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
}

export interface SubtaskTimeouts {
  /** Milliseconds to wait for an answer of another object before something is done about it. */
  readonly patience: number;
}

/** The `Subtask` class of an application: it runs the operators of `programs`. */
export function subtaskClass(
  programs: ReadonlyMap<string, JobDefinition>,
  timeouts: SubtaskTimeouts = { patience: heartbeatTimeout },
) {
  return class Subtask extends DurableObject<SubtaskEnv> implements SubtaskApi {
    #stored: StoredAttempt | undefined;
    #run: TaskRun | undefined;

    constructor(ctx: DurableObjectState, env: SubtaskEnv) {
      super(ctx, env);
      ctx.storage.sql.exec(
        "CREATE TABLE IF NOT EXISTS attempt (id INTEGER PRIMARY KEY CHECK (id = 0), record TEXT NOT NULL)",
      );
      const row = ctx.storage.sql
        .exec<{ record: string }>("SELECT record FROM attempt")
        .toArray()[0];
      if (row !== undefined) this.#stored = JSON.parse(row.record) as StoredAttempt;
    }

    async deploy(deployment: TaskDeployment): Promise<DeployOutcome> {
      const { attempt, job, task, plan } = deployment;
      const known = this.#stored;
      if (known !== undefined && attempt < known.attempt)
        return { kind: "stale", current: known.attempt };
      if (known?.attempt === attempt) {
        if (this.#runOf(attempt) !== undefined) return { kind: "deployed" };
        return { kind: "refused", reason: `It has lost the memory of attempt ${attempt}.` };
      }
      const program = programs.get(plan.program);
      if (program === undefined) {
        return { kind: "refused", reason: `This deployment has no program "${plan.program}".` };
      }
      if (fingerprintOf(program.graph) !== plan.fingerprint) {
        const reason = `Program "${plan.program}" has another topology in this deployment than the job has.`;
        return { kind: "refused", reason };
      }
      this.#run?.over();
      this.#run = undefined;
      this.#store({ attempt, active: { job, task } });
      await this.ctx.storage.setAlarm(Date.now() + watchInterval);
      const database = this.#database();
      const local = localSegmentsOf(deployment, database);
      const isHeld = holdsState(deployment, database);
      const loaded = await loadState({ bucket: this.env.BUCKET, local, isHeld }, deployment);
      // While the state was read a newer attempt may have been deployed, or this one cancelled.
      if (this.#stored?.attempt !== attempt || this.#stored.active === undefined) {
        return { kind: "stale", current: this.#stored?.attempt ?? attempt };
      }
      if (loaded.kind !== "loaded") {
        const { kind, reason } = loaded;
        return { kind: "refused", reason, ...(kind === "damaged" && { fault: "damagedState" }) };
      }
      this.#run = new TaskRun(
        new Task(deployment, program.graph, loaded.state, millis(Date.now()), database),
        this.env,
        { patience: timeouts.patience, local, restored: loaded.bytes },
      );
      return { kind: "deployed" };
    }

    async start(attempt: Attempt): Promise<AttemptOutcome> {
      return this.#within(attempt, (run) => run.handle((now) => run.task.start(now)));
    }

    async triggerCheckpoint(attempt: Attempt, checkpoint: CheckpointId): Promise<AttemptOutcome> {
      return this.#within(attempt, (run) => run.handle((now) => run.task.trigger(checkpoint, now)));
    }

    async notifyComplete(attempt: Attempt, checkpoint: CheckpointId): Promise<HeartbeatOutcome> {
      this.#within(attempt, (run) => run.notifyComplete(checkpoint));
      return this.heartbeat(attempt);
    }

    async notifyAborted(attempt: Attempt, checkpoint: CheckpointId): Promise<AttemptOutcome> {
      return this.#within(attempt, (run) =>
        run.handle((now) => run.task.notifyAborted(checkpoint, now)),
      );
    }

    async heartbeat(attempt: Attempt): Promise<HeartbeatOutcome> {
      const outcome = this.#within(attempt, () => {});
      const run = this.#runOf(attempt);
      if (outcome.kind !== "ok" || run === undefined)
        return outcome as Exclude<AttemptOutcome, { kind: "ok" }>;
      return { kind: "ok", metrics: run.metrics, activity: { isIdle: false } };
    }

    async rest(attempt: Attempt): Promise<RestOutcome> {
      const outcome = this.#within(attempt, () => {});
      return outcome.kind === "ok" ? { kind: "busy" } : outcome;
    }

    async appended(attempt: Attempt): Promise<AttemptOutcome> {
      return this.#within(attempt, () => {});
    }

    async cancel(attempt: Attempt): Promise<void> {
      if (this.#stored !== undefined && this.#stored.attempt > attempt) return;
      this.#run?.over();
      this.#run = undefined;
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
      const table = this.#run?.task.table(query.table);
      if (table === undefined) return { kind: "unknown" };
      const rows =
        query.key === undefined
          ? Array.from(table.entries(query.read), ([, row]) => row)
          : [table.read(query.read, query.key as never)].filter((row) => row !== undefined);
      return { kind: "rows", rows: encodeRows(rows), checkpoint: table.committedCheckpoint };
    }

    override async alarm(): Promise<void> {
      const stored = this.#stored;
      if (stored?.active === undefined) {
        StateRows.drop(this.#database());
        return LocalSegments.drop(this.#database());
      }
      await this.ctx.storage.setAlarm(Date.now() + watchInterval);
      if (this.#runOf(stored.attempt) !== undefined) return;
      const { attempt } = stored;
      const { job, task } = stored.active;
      const failure = {
        attempt,
        task,
        name: "SubtaskLost",
        message: "It was evicted and has lost its memory.",
      };
      await this.env.COORDINATOR.getByName(objectName.coordinator(job))
        .taskFailed(failure)
        .catch((error: unknown) => {
          console.warn(`Subtask ${task.vertex}/${task.index}: ${String(error)}`);
        });
    }

    #within(attempt: Attempt, step: (run: TaskRun) => void): AttemptOutcome {
      const current = this.#stored?.attempt;
      if (current !== undefined && attempt < current) return { kind: "stale", current };
      const run = this.#runOf(attempt);
      if (run === undefined) return { kind: "unknown" };
      step(run);
      return { kind: "ok" };
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
