// Another size for a job that runs: asked for, begun with a checkpoint of its own, started, or gone
// back from.
//   X1. A request names every vertex, and is durable before it is answered. One that is refused, and
//       one for the size there is, changes nothing. While one is under way another is refused, and
//       the same is the same.
//   X2. Its checkpoint is taken alone, aligned, and at once: nothing is triggered from the request
//       until it is over. It is one of the job's own, retained and committed like any other, so that
//       nothing is processed twice and only what came during it is replayed.
//   X3. A checkpoint that fails costs the job nothing, and ends the request. One that the end of an
//       attempt or of the coordinator has cut short is taken again, until the time is up.
//   X4. Once it is complete, and known to be, the next step ends all regions and makes the new size
//       durable: the next attempt deploys it. Until all of that runs, whatever fails goes back to the
//       former size, from the same checkpoint and at no cost to the restart strategy.
//   X5. Subtasks that a plan no longer has are told that they are cancelled until each has answered,
//       also after the job has ended; before that it does not rest.

import type { Attempt, CheckpointId, Millis, TaskId } from "../format/ids.ts";
import { taskKey } from "../format/ids.ts";
import type {
  Bounds,
  CheckpointRecord,
  RescaleAnswer,
  RescaleRequest,
} from "../format/job-status.ts";
import { heartbeatInterval } from "../format/limits.ts";
import type { Attempts } from "./attempts.ts";
import type { Checkpointing } from "./checkpointing.ts";
import { isEnding, isTerminal, type JobRecord, type RescaleRecord } from "./job-record.ts";
import type { JobState } from "./job-state.ts";
import { type Parallelisms, resized, sizesOf, wrongSizes } from "./plan.ts";
import { enters, openRescale, provenSize } from "./rescales.ts";

/** Requests that are remembered, the one under way included. */
const rescalesMax = 16;

/** How a job is about to end; a savepoint that ends it may only be wanted yet. */
const endOf = (stopping: JobRecord["stopping"]): string =>
  stopping?.ends === "finish"
    ? "finishing: its input has ended, and its last checkpoint is complete"
    : "being stopped with a savepoint";

export class Rescaling {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  readonly #attempts: Attempts;
  /** This memory has triggered the checkpoint: if it fails, it has failed by itself (X3). */
  #isTriggeredHere = false;
  /** When subtasks of former plans were last told. */
  #toldAt = 0;

  constructor(state: JobState, checkpointing: Checkpointing, attempts: Attempts) {
    this.#state = state;
    this.#checkpointing = checkpointing;
    this.#attempts = attempts;
  }

  /** Whether checkpoints have to wait (X2). */
  get isBusy(): boolean {
    const kind = this.#open?.progress.kind;
    return kind === "waiting" || kind === "taking";
  }

  request(request: RescaleRequest, now: Millis): RescaleAnswer {
    const { phase, job, plan, stopping, savepoints = [], rescales = [] } = this.#state.record;
    const wrong = wrongBounds(request);
    const parallelism = upperBounds(request);
    wrong.push(...wrongSizes(plan, parallelism));
    for (const { id, name } of plan.vertices) {
      if (Object.hasOwn(request, id)) continue;
      wrong.push(`Vertex ${id} (${name}) is missing; a request names every vertex.`);
    }
    if (wrong.length > 0) return { kind: "invalid", reason: wrong.join(" ") };
    if (isTerminal(phase) || isEnding(phase)) {
      return { kind: "refused", reason: `Job ${job} is ${phase}; its size stays as it is.` };
    }
    const isStopping =
      stopping !== undefined ||
      savepoints.some(
        ({ ends, progress: { kind } }) =>
          ends !== undefined && (kind === "waiting" || kind === "taking"),
      );
    if (isStopping) {
      return { kind: "refused", reason: `Job ${job} is ${endOf(stopping)}.` };
    }
    const open = this.#open;
    if (open !== undefined) {
      if (isSame(open.parallelism, parallelism)) return { kind: "accepted" };
      const reason =
        `Job ${job} is being rescaled since ${new Date(open.requestedAt).toISOString()}. ` +
        `Ask again once that is over.`;
      return { kind: "refused", reason };
    }
    const former = sizesOf(provenSize(this.#state.record).plan);
    if (isSame(former, parallelism)) return { kind: "unchanged" };
    const record: RescaleRecord = {
      parallelism,
      former,
      requestedAt: now,
      progress: { kind: "waiting" },
    };
    this.#state.update({ rescales: [record, ...rescales].slice(0, rescalesMax) });
    return { kind: "accepted" };
  }

  wakeTimes(): number[] {
    const { record } = this.#state;
    const times: number[] = [];
    if (this.#isLeft) times.push(this.#toldAt + heartbeatInterval);
    const open = this.#open;
    if (open !== undefined && this.#taken !== undefined) times.push(open.requestedAt); // now
    if (open?.progress.kind === "waiting") {
      times.push(open.requestedAt + record.config.checkpointing.timeout);
    }
    return times;
  }

  /** A step of its own, so that everybody has been told that the checkpoint is complete. */
  begins(now: Millis): boolean {
    const open = this.#open;
    const checkpoint = this.#taken;
    if (open === undefined || checkpoint === undefined) return false;
    this.#start(open, checkpoint, now);
    return true;
  }

  /** After every event, before anything new is triggered: what is over. Repeated, it does nothing. */
  close(now: Millis): void {
    const { record, checkpoints } = this.#state;
    const { phase, stopping, config } = record;
    const open = this.#open;
    if (open === undefined) return;
    const { progress } = open;
    if (isTerminal(phase) || isEnding(phase)) {
      return this.#fail(`The job is ${phase}; it was not rescaled any more.`, now);
    }
    if (progress.kind === "waiting") {
      const { timeout } = config.checkpointing;
      const isLate = now >= open.requestedAt + timeout;
      if (stopping !== undefined) this.#fail(`The job is ${endOf(stopping)}.`, now);
      else if (isLate) {
        const message =
          `It expired: for ${timeout} ms the job was ${phase}, had other checkpoints to finish, or ` +
          `lost the one that it was to begin with.`;
        this.#fail(message, now);
      }
    } else if (progress.kind === "starting") {
      const { checkpoint } = progress;
      if (phase === "RUNNING") this.#enter({ kind: "completed", checkpoint, at: now });
    } else if (progress.kind === "taking" && !checkpoints.isOpen(progress.checkpoint)) {
      const taken = this.#outcomeOf(progress.checkpoint);
      if (taken?.kind === "completed") return;
      if (this.#isTriggeredHere && phase === "RUNNING" && taken?.kind === "failed") {
        this.#fail(`Checkpoint ${progress.checkpoint} failed: ${taken.message}`, now);
      } else this.#enter({ kind: "waiting" });
    }
  }

  /** After every event: what is due. Repeated, it does nothing. */
  settle(now: Millis): void {
    const { record, checkpoints } = this.#state;
    const mayTake = record.phase === "RUNNING" && checkpoints.ledger.open.length === 0;
    if (this.#open?.progress.kind === "waiting" && mayTake && record.stopping === undefined) {
      this.#isTriggeredHere = true;
      this.#enter({ kind: "taking", checkpoint: checkpoints.nextId });
      this.#checkpointing.trigger(now, "aligned");
    }
    if (!this.#isLeft || now < this.#toldAt + heartbeatInterval) return;
    this.#toldAt = now;
    const byAttempt = Map.groupBy(record.retired ?? [], ({ attempt }) => attempt);
    for (const [attempt, left] of byAttempt) {
      this.#state.push({ kind: "cancelTasks", attempt, tasks: left.map(({ task }) => task) });
    }
  }

  /** The answer to `cancelTasks`. */
  cancelled(attempt: Attempt, tasks: readonly TaskId[]): void {
    const told = new Set(tasks.map(taskKey));
    const { retired = [] } = this.#state.record;
    const left = retired.filter((each) => each.attempt > attempt || !told.has(taskKey(each.task)));
    if (left.length < retired.length) this.#state.update({ retired: left });
  }

  /** The job goes on in other code, in the size that it is known to run in. */
  codeChanged(now: Millis): void {
    const { config } = provenSize(this.#state.record);
    this.#state.update({ config, next: undefined });
    if (this.#open === undefined) return;
    this.#fail("The program was deployed in another version meanwhile.", now);
  }

  #start({ parallelism }: RescaleRecord, checkpoint: CheckpointId, now: Millis): void {
    const { plan, config } = this.#state.record;
    const next = {
      plan: resized(plan, parallelism),
      config: { ...config, parallelismOverrides: parallelism },
    };
    this.#enter({ kind: "starting", checkpoint, former: { plan, config } });
    this.#attempts.resize({ next, checkpoint }, now);
  }

  #fail(message: string, now: Millis): void {
    this.#enter({ kind: "failed", message, at: now });
  }

  #enter(progress: RescaleRecord["progress"]): void {
    this.#state.update(enters(this.#state.record, progress));
  }

  /** The checkpoint that a new size is to begin with, once it is complete. */
  get #taken(): CheckpointId | undefined {
    const progress = this.#open?.progress;
    if (progress?.kind !== "taking") return undefined;
    const { checkpoint } = progress;
    return this.#outcomeOf(checkpoint)?.kind === "completed" ? checkpoint : undefined;
  }

  #outcomeOf(checkpoint: CheckpointId): CheckpointRecord["outcome"] | undefined {
    return this.#state.checkpoints.history.find(({ id }) => id === checkpoint)?.outcome;
  }

  get #open(): RescaleRecord | undefined {
    return openRescale(this.#state.record);
  }

  /** Whether subtasks of a former plan have not answered yet. */
  get #isLeft(): boolean {
    return (this.#state.record.retired ?? []).length > 0;
  }
}

const upperBounds = (request: RescaleRequest): Parallelisms =>
  Object.fromEntries(Object.entries(request).map(([id, { upperBound }]) => [id, upperBound]));

const wrongBounds = (request: RescaleRequest): string[] =>
  Object.entries(request).flatMap(([id, { lowerBound, upperBound }]: [string, Bounds]) =>
    Number.isInteger(lowerBound) && lowerBound >= 1 && lowerBound <= upperBound
      ? []
      : [
          `Vertex "${id}" has lower bound ${lowerBound} and upper bound ${upperBound}; allowed: whole ` +
            `numbers from 1, the lower one not above the upper one.`,
        ],
  );

const isSame = (left: Parallelisms, right: Parallelisms): boolean =>
  Object.entries(left).every(([id, size]) => right[id] === size);
