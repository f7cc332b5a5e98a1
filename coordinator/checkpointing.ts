// The checkpoints of a job as they are run: triggered, acknowledged, published, completed, aborted,
// and what the bucket holds for nobody. What counts when is decided in checkpoints.ts.
//   J3. Subtasks hear of completion only after the manifest is durable and recorded.
//   J6. Checkpoints are open only while the job is RUNNING: whatever ends an attempt, of whichever
//       region, ends them, also the one that is being published. Its manifest then counts for
//       nothing, being in no ledger. So the attempts of all regions stand still while one is open,
//       and a manifest's attempt, the job's last, tells which they were.

import { type CheckpointId, checkpointId, type Millis, taskKey } from "../format/ids.ts";
import { inlineManifestBytesMax, manifestBytesMax } from "../format/limits.ts";
import {
  encodeManifest,
  hasRowsOnTheirWay,
  type Manifest,
  manifestFiles,
} from "../format/manifest.ts";
import type { CheckpointAck, CheckpointDecline } from "../format/messages.ts";
import { type Purpose, savepointOf } from "../format/frame.ts";
import { isInSavepoint, manifestPath, savepointManifestPath } from "../format/paths.ts";
import { allEdges, sourceTasksOf } from "../format/plan.ts";
import type { RetainedCheckpoint } from "./checkpoints.ts";
import { isTerminal } from "./job-record.ts";
import type { JobState } from "./job-state.ts";
import { isRescaleCheckpoint } from "./rescales.ts";
import { collectable } from "./retention.ts";

/** Milliseconds after which an ended job's files are looked for once more. No write takes so long. */
const sweepRetry = 60_000;

/** What became of a manifest's write. `exists`: another stands under its name. `unknown`: who knows. */
export type PublishOutcome =
  { readonly kind: "created" } | { readonly kind: "exists" | "unknown"; readonly message: string };

export class Checkpointing {
  readonly #state: JobState;
  /** More checkpoints in a row have failed than are tolerated. */
  readonly #onIntolerable: (message: string, now: Millis) => void;
  #sweptAt = 0;
  /** Of the savepoint that was triggered last, while this memory lasts. */
  #folder = "";

  constructor(state: JobState, onIntolerable: (message: string, now: Millis) => void) {
    this.#state = state;
    this.#onIntolerable = onIntolerable;
  }

  /** When `tick` is due. */
  wakeTimes(): number[] {
    const { record, checkpoints } = this.#state;
    if (isTerminal(record.phase)) {
      return checkpoints.ledger.litterUpTo === undefined ? [] : [this.#sweptAt + sweepRetry];
    }
    const expiry = checkpoints.nextExpiryAt();
    return expiry === undefined ? [] : [expiry];
  }

  expire(now: Millis): void {
    const { record, checkpoints } = this.#state;
    const { timeout } = record.config.checkpointing;
    for (const id of checkpoints.expired(now)) {
      this.abort(id, `It expired: it was not complete within ${timeout} ms.`, now);
    }
  }

  sweepDue(now: Millis): void {
    const isDue = now >= this.#sweptAt + sweepRetry;
    if (isTerminal(this.#state.record.phase) && isDue) this.sweep(now);
  }

  acknowledged(ack: CheckpointAck, now: Millis): void {
    const outcome = this.#state.checkpoints.acknowledge(ack, now);
    if (outcome.kind === "complete") this.#publish(ack.checkpoint, outcome.acks, now);
  }

  declined(decline: CheckpointDecline, now: Millis): void {
    const reason = `Declined by ${taskKey(decline.task)}: ${decline.reason}`;
    this.abort(decline.checkpoint, reason, now, { counted: decline.isSuperseded !== true });
  }

  published(
    candidate: RetainedCheckpoint,
    outcome: PublishOutcome,
    now: Millis,
    { isRunning }: { readonly isRunning: boolean },
  ): void {
    const { checkpoints, record } = this.#state;
    if (!isRunning || !checkpoints.isOpen(candidate.id)) {
      // Its folder is deleted once more.
      if (isInSavepoint(candidate.path)) return;
      // It was given up meanwhile, and its manifest has come to stand where nobody looks for it.
      checkpoints.littered(candidate.id);
      this.#state.changed();
      if (isTerminal(record.phase)) this.sweep(now);
    } else if (outcome.kind === "created") {
      this.#complete(candidate, now);
    } else {
      this.abort(candidate.id, `Its manifest was not written: ${outcome.message}`, now);
    }
  }

  /** After a reload: open checkpoints end, unless a manifest was being written; that is looked up. */
  resume(now: Millis): void {
    const { checkpoints, record } = this.#state;
    // Whether the last deletions were carried out is not known any more. Not worth a write of its
    // own: whoever reloads before the next one says so again.
    this.#litteredToLatest();
    for (const { id } of record.checkpoints.open) {
      if (!checkpoints.isPublishing(id)) this.#interrupt(id, now);
    }
    for (const { candidate } of record.checkpoints.publishing) {
      this.#state.push({ kind: "probeManifest", candidate });
    }
  }

  recovered(candidate: RetainedCheckpoint, exists: boolean, now: Millis): void {
    if (!this.#state.checkpoints.isPublishing(candidate.id)) return;
    if (exists) this.#complete(candidate, now);
    else this.#interrupt(candidate.id, now);
  }

  /** A checkpoint failed. A job that asked for none does not fail with it. */
  abort(id: CheckpointId, reason: string, now: Millis, { counted } = { counted: true }): void {
    const { checkpoints, record, tasks } = this.#state;
    const isAsked = record.config.checkpointing.interval !== undefined;
    // Nobody counts what somebody asked for.
    const isSingle = checkpoints.isSavepoint(id) || isRescaleCheckpoint(record, id);
    const isCounted = counted && isAsked && !isSingle;
    if (!checkpoints.abort(id, reason, now, { counted: isCounted })) return;
    // One that failed is not tried again at once, even if the job would come to rest.
    tasks.restless();
    this.#notifyAborted(id);
    if (isSingle || !checkpoints.toleranceExceeded) return;
    const { tolerableFailures } = record.config.checkpointing;
    const message = `More than ${tolerableFailures} checkpoints in a row failed; the last: ${reason}`;
    this.#onIntolerable(message, now);
  }

  /** Some attempt has ended, and with it what is open. Whoever goes on running is told. */
  abandonAll(reason: string, now: Millis): void {
    const { checkpoints } = this.#state;
    for (const { id } of checkpoints.ledger.open) {
      checkpoints.abort(id, reason, now, { counted: false });
      this.#notifyAborted(id);
    }
  }

  /** Has the bucket cleared of what no retained checkpoint reaches, where there may be any. */
  sweep(now: Millis, upTo = this.#state.checkpoints.ledger.nextId - 1): void {
    const { checkpoints } = this.#state;
    if (checkpoints.ledger.litterUpTo === undefined) return;
    this.#sweptAt = now;
    checkpoints.sweeping();
    const reachable = this.#reachable();
    this.#state.push({ kind: "sweep", reachable, upTo: checkpointId(upTo) });
  }

  /** An ended job is swept twice: what was on its way when it ended may arrive behind the first. */
  swept(upTo: CheckpointId): void {
    const { checkpoints, record } = this.#state;
    const { phase, entered } = record;
    const isEarly = isTerminal(phase) && this.#sweptAt < (entered[phase] ?? 0) + sweepRetry;
    if (isEarly || checkpoints.ledger.litterUpTo === undefined) return;
    checkpoints.swept(upTo);
    this.#state.changed();
  }

  /** Nobody else needs that checkpoint any more: what nothing else reaches of it goes. */
  released({ id, files }: RetainedCheckpoint, now: Millis): void {
    const { checkpoints, record } = this.#state;
    if (isTerminal(record.phase)) {
      checkpoints.littered(id);
      this.#state.changed();
      return this.sweep(now);
    }
    const { latest } = checkpoints;
    if (latest === undefined) return;
    const reachable = new Set(this.#reachable());
    const paths = collectable({ job: record.job, reachable, upTo: latest.id }, files);
    if (paths.length > 0) this.#state.push({ kind: "deleteFiles", paths });
  }

  notDeleted(): void {
    this.#litteredToLatest();
    this.#state.changed();
  }

  trigger(now: Millis, purpose?: Purpose): void {
    const { record, checkpoints, tasks } = this.#state;
    const { attempt, plan } = record;
    const savepoint = savepointOf(purpose);
    const isSavepoint = savepoint !== undefined;
    if (isSavepoint) this.#folder = savepoint.folder;
    const kind = isSavepoint ? "savepoint" : purpose === "final" ? "final" : undefined;
    const { id: checkpoint } = checkpoints.trigger(attempt, tasks.keys, now, kind);
    this.#state.changed();
    this.#state.tell(sourceTasksOf(plan), (of, sources) => ({
      kind: "trigger",
      attempt: of,
      checkpoint,
      tasks: sources,
      ...(purpose && { purpose }),
    }));
  }

  #publish(checkpoint: CheckpointId, acks: readonly CheckpointAck[], now: Millis): void {
    const { job, plan, attempt, config } = this.#state.record;
    const bytes = acks.reduce((total, { metrics }) => total + metrics.stateBytes, 0);
    const isSavepoint = this.#state.checkpoints.isSavepoint(checkpoint);
    const isInline = config.checkpointing.storage === "inline" && !isSavepoint;
    if (isInline && bytes > inlineManifestBytesMax) {
      const reason =
        `Its state is ${bytes} bytes, and with checkpointing.storage "inline" the coordinator ` +
        `takes ${inlineManifestBytesMax}. Set it to "r2".`;
      return this.abort(checkpoint, reason, now);
    }
    const tasks = acks.map(({ task, state }) => ({ task: taskKey(task), state }));
    const manifest: Manifest = {
      job,
      program: plan.program,
      fingerprint: plan.fingerprint,
      checkpoint,
      attempt,
      completedAt: now,
      maxParallelism: plan.maxParallelism,
      ...(isSavepoint && { isSavepoint }),
      ...(plan.shapes && { shapes: plan.shapes }),
      ...(hasRowsOnTheirWay({ tasks }) && { edges: allEdges(plan) }),
      tasks,
    };
    const path = isSavepoint ? savepointManifestPath(this.#folder) : manifestPath(job, checkpoint);
    const encoded = encodeManifest(manifest, path);
    if (encoded.length > manifestBytesMax) {
      const { inlineThreshold } = config.checkpointing;
      const reason =
        `Its manifest is ${encoded.length} bytes, and could not be restored: ${manifestBytesMax} ` +
        `are allowed. Lower checkpointing.inlineThreshold, which is ${inlineThreshold}, so that ` +
        `more of the state goes into files.`;
      return this.abort(checkpoint, reason, now);
    }
    const files = [...new Set([path, ...manifestFiles(manifest)])];
    const candidate = { id: checkpoint, attempt, path, completedAt: now, files };
    this.#state.checkpoints.publishing(candidate);
    this.#state.changed();
    this.#state.push({ kind: "publish", attempt, candidate, bytes: encoded });
  }

  #complete(candidate: RetainedCheckpoint, now: Millis): void {
    const { checkpoints, tasks, record } = this.#state;
    const isSavepoint = checkpoints.isSavepoint(candidate.id);
    const isFinal = checkpoints.isFinal(candidate.id);
    const { subsumed, overtaken } = checkpoints.completed(candidate, now);
    this.#state.changed();
    if (isSavepoint) return; // savepoints.ts, P4
    if (isFinal) this.#state.update({ stopping: { ends: "finish", savepoint: candidate } });
    tasks.forgetActivity();
    this.#state.tell(tasks.all, (attempt, group) => ({
      kind: "notifyComplete",
      attempt,
      checkpoint: candidate.id,
      tasks: group,
    }));
    for (const checkpoint of overtaken) this.#notifyAborted(checkpoint);
    // Where every checkpoint completes, the ledger knows all files there are. After a failure the
    // bucket is listed: who wrote what is then known to nobody.
    if (checkpoints.ledger.litterUpTo !== undefined) {
      // What this one pushed out is for this sweep to find; an earlier one that ends now did not.
      checkpoints.littered(candidate.id);
      return this.sweep(now, candidate.id);
    }
    const files = new Set(subsumed.flatMap((entry) => entry.files));
    const { job } = record;
    const reachable = new Set(this.#reachable());
    const paths = collectable({ job, reachable, upTo: candidate.id }, files);
    if (paths.length > 0) this.#state.push({ kind: "deleteFiles", paths });
  }

  /** A checkpoint is over because the coordinator was; that is no failure of the job's. */
  #interrupt(id: CheckpointId, now: Millis): void {
    const reason = "The coordinator was restarted before it was complete.";
    const isOver = this.#state.checkpoints.abort(id, reason, now, { counted: false });
    if (isOver) this.#notifyAborted(id);
  }

  #notifyAborted(checkpoint: CheckpointId): void {
    this.#state.changed();
    this.#state.tell(this.#state.tasks.inPhase("RUNNING"), (attempt, tasks) => ({
      kind: "notifyAborted",
      attempt,
      checkpoint,
      tasks,
    }));
  }

  /** What the latest checkpoint pushed out of the retained may not have gone. */
  #litteredToLatest(): void {
    const { checkpoints } = this.#state;
    const { latest } = checkpoints;
    if (latest === undefined) return;
    checkpoints.littered(latest.id);
  }

  #reachable(): string[] {
    const { retained } = this.#state.checkpoints.ledger;
    const held = (this.#state.record.holds ?? []).map(({ checkpoint }) => checkpoint);
    return [...new Set([...retained, ...held].flatMap((entry) => entry.files))];
  }
}
