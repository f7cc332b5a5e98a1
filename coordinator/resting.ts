// How a job comes to rest, so that it costs nothing, and how it wakes up.
//   Q1. A job comes to rest only when every subtask was idle in two rounds of heartbeats in a row: one
//       whose input trickles goes on as it is. A checkpoint under way is nothing to do (S3).
//   Q2. It rests on a completed checkpoint since whose barrier no subtask has processed anything.
//       Where that is missing a last checkpoint is taken, also where none are periodic. Periodic ones
//       wait meanwhile: there is nothing new in them.
//   Q3. While subtasks are asked to rest none is triggered. Whoever is busy, silent or active ends the
//       request, and everything goes on; who rests already wakes up by itself.
//   Q4. The rest is durable before the alarm is gone. A resting job asks nobody, triggers nothing and
//       sets no alarm, whoever looks at it. That is right because each subtask has promised to call
//       `active` before anything new leaves it.
//   Q5. A failure or a cancellation ends the rest, and is handled as of a job that runs.

import type { Attempt, CheckpointId, Millis, TaskId, TaskKey } from "../format/ids.ts";
import { taskKey } from "../format/ids.ts";
import { heartbeatInterval, heartbeatTimeout } from "../format/limits.ts";
import type { RestOutcome } from "../format/messages.ts";
import type { JobState } from "./job-state.ts";
import { openRescale } from "./rescales.ts";

/** Rounds of heartbeats in which a subtask must have been idle (Q1). */
const idleRoundsMin = 2;

/** Subtasks are asked to rest and have not all answered. */
interface RestRequest {
  readonly round: number;
  readonly attempt: Attempt;
  readonly since: Millis;
  readonly missing: Set<TaskKey>;
}

export class Resting {
  readonly #state: JobState;
  #rounds = 0;
  #request: RestRequest | undefined;
  #lastCheckpointAt = Number.NEGATIVE_INFINITY;

  constructor(state: JobState) {
    this.#state = state;
  }

  get isResting(): boolean {
    return this.#state.record.restingSince !== undefined;
  }

  /** Whether the job is coming to rest: periodic checkpoints wait. */
  get isSettling(): boolean {
    return this.#open !== undefined || this.#verdict() !== "busy";
  }

  /** When the last checkpoint is due; undefined where none is wanted, or others are open. */
  lastCheckpointDue(): number | undefined {
    const { checkpoints } = this.#state;
    const isWanted = this.#open === undefined && this.#verdict() === "changed";
    if (!isWanted || checkpoints.ledger.open.length > 0) return undefined;
    // The pause: a subtask that is never clean must not be asked for one after the other.
    return Math.max(checkpoints.pauseEndsAt, this.#lastCheckpointAt + heartbeatInterval);
  }

  /** The last checkpoint is triggered now. */
  settles(now: Millis): void {
    this.#lastCheckpointAt = now;
  }

  /** A subtask has told how it is doing. */
  consider(now: Millis): void {
    const { checkpoints, tasks, record } = this.#state;
    const { latest } = checkpoints;
    if (this.isResting || this.#open !== undefined) return;
    if (checkpoints.ledger.open.length > 0) return;
    // Somebody waits for another size, or has not been told that he is not needed any more.
    if (openRescale(record) !== undefined || (record.retired ?? []).length > 0) return;
    if (latest === undefined || this.#verdict() !== "clean") return;
    const round = ++this.#rounds;
    const missing = new Set(tasks.keys);
    this.#request = { round, attempt: record.attempt, since: now, missing };
    this.#state.tell(tasks.all, (attempt, group) => {
      return { kind: "rest", attempt, checkpoint: latest.id, round, tasks: group };
    });
  }

  /** The answer of one subtask. True where it was awaited. */
  answered(
    task: TaskId,
    round: number,
    outcome: RestOutcome["kind"] | "silent",
    now: Millis,
  ): boolean {
    const request = this.#open;
    if (request?.round !== round || !request.missing.has(taskKey(task))) return false;
    if (outcome !== "resting") this.#giveUp();
    else if (request.missing.delete(taskKey(task)) && request.missing.size === 0) {
      this.#request = undefined;
      this.#state.update({ restingSince: now });
      this.#state.modified(now);
    }
    return true;
  }

  /** Not every answer comes. */
  expire(now: Millis): void {
    const request = this.#open;
    if (request !== undefined && now >= request.since + heartbeatTimeout) this.#giveUp();
  }

  /** A subtask has something to process. */
  active(now: Millis): void {
    this.#giveUp();
    if (!this.isResting) return;
    this.#state.awaken(now);
    this.#state.probed(now);
    this.#state.checkpoints.resumed(now);
  }

  #giveUp(): void {
    this.#request = undefined;
    this.#state.tasks.restless();
  }

  /** The request, unless its attempts have ended. */
  get #open(): RestRequest | undefined {
    const { phase, attempt } = this.#state.record;
    const isOpen = phase === "RUNNING" && this.#request?.attempt === attempt;
    return isOpen ? this.#request : undefined;
  }

  /** What the subtasks have told, all together. */
  #verdict(): "busy" | "unknown" | "changed" | "clean" {
    const { record, tasks, checkpoints } = this.#state;
    // It is about to end (ending.ts).
    if (tasks.haveEnded) return "busy";
    const isIdle = tasks.states.every((state) => (state.idleRounds ?? 0) >= idleRoundsMin);
    if (record.phase !== "RUNNING" || !isIdle) return "busy";
    const since = (of: CheckpointId | undefined): boolean => of === checkpoints.latest?.id;
    // Not idle all the same: one is busy with a checkpoint, and tells once that is over (S3).
    if (tasks.states.some((state) => state.activity?.isIdle !== true)) return "unknown";
    const isClean = tasks.states.every((state) => since(state.activity?.cleanSince));
    return checkpoints.latest !== undefined && isClean ? "clean" : "changed";
  }
}
