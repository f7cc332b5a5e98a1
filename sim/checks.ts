// What must hold of one job, watched from outside: by what is in the bucket, what became durable, and
// what readers are shown; never by what a core says of itself. What is in a manifest: cut.ts (X1, X2);
// what becomes of savepoints: savepoint-checks.ts (X6, X7).
//   X3. A checkpoint is complete once its manifest stands and its record is durable, and not before;
//       a reader of committed rows is shown exactly the rows of a complete one, and never an older
//       one than before, unless a damaged checkpoint was given up.
//       It goes back to the latest of these, and no further.
//   X4. What a retained manifest needs is there, from the moment it is recorded until it is not
//       retained any more. No key is ever written twice.
//   X13. Of a rescale that is complete every vertex has the size that was asked for; of one that has
//       failed, the size it had.
//   X5. Ids of checkpoints and attempts, as recorded durably, only grow.

import { isTerminal, type JobRecord } from "../coordinator/job-record.ts";
import {
  type Attempt,
  type CheckpointId,
  type JobId,
  parseTaskKey,
  type TaskKey,
} from "../format/ids.ts";
import type { HoldKey } from "../format/holds.ts";
import { keyGroupOf } from "../format/key-groups.ts";
import { decodeManifest } from "../format/manifest.ts";
import type { CheckpointAck, JobSubmission } from "../format/messages.ts";
import { checkpointOfPath, jobPrefix } from "../format/paths.ts";
import { type Cut, Cuts, ownerOf } from "./cut.ts";
import type { Seen } from "./deployed.ts";
import type { Observer } from "./deployment.ts";
import type { TimedOffsets } from "./event-time-checks.ts";
import { type Lineage, topologyOf } from "./lineage.ts";
import { SavepointChecks } from "./savepoint-checks.ts";
import { type Item, type TableShape, tableName, tableUid } from "./topology.ts";
import { difference, type StateView, type View, viewOf } from "./views.ts";
import { must, Violation } from "./violation.ts";

/** What a job began with. */
export interface Begin {
  readonly cut: Cut;
  readonly restore: NonNullable<JobSubmission["restore"]>;
}

export class Checks implements Observer {
  readonly #job: JobId;
  readonly #lineage: Lineage;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #atLeast: boolean;
  readonly #isInline: boolean;
  readonly #begin: Begin | undefined;
  readonly #cuts: Cuts;
  readonly savepoints: SavepointChecks;
  readonly #complete = new Set<CheckpointId>();
  readonly #written = new Set<string>();
  readonly #views = new Map<string, (value: unknown) => View>();
  /** What each reader of a table was shown last. */
  readonly #shown = new Map<string, CheckpointId>();
  #record: JobRecord | undefined;
  #restarts = 0;
  #rests = 0;
  #fallbacks = 0;

  constructor(of: {
    readonly lineage: Lineage;
    readonly begin?: Begin | undefined;
    readonly seen: Seen;
    readonly checkpointing: {
      readonly mode: "EXACTLY_ONCE" | "AT_LEAST_ONCE";
      readonly storage: "inline" | "r2";
    };
  }) {
    const { lineage, begin, seen, checkpointing } = of;
    const { job, topics, files } = seen;
    this.#job = job;
    this.#lineage = lineage;
    this.#begin = begin;
    this.#files = files;
    this.#atLeast = checkpointing.mode === "AT_LEAST_ONCE";
    this.#isInline = checkpointing.storage === "inline";
    this.#cuts = new Cuts({
      lineage,
      files,
      atLeast: this.#atLeast,
      records: (source, partition) => topics.rows(`topic-${source}`, partition) as readonly Item[],
      view: (state) => this.view(state),
    });
    this.savepoints = new SavepointChecks(job, files, this.#cuts);
  }

  /** Since it began. */
  get completed(): number {
    return this.#complete.size;
  }

  /**
   * Restarts that followed a failure. A coordinator that dies while it deploys begins another attempt
   * too, and that is none.
   */
  get restarts(): number {
    return this.#restarts;
  }

  /** How often it went back behind its latest checkpoint, as that was damaged. */
  get fallbacks(): number {
    return this.#fallbacks;
  }

  /** How often it came to rest. */
  get rests(): number {
    return this.#rests;
  }

  /** As of the last durable write. */
  get record(): JobRecord | undefined {
    return this.#record;
  }

  // What the bucket shows.

  created(path: string, bytes: Uint8Array): void {
    const isSavepoints = this.savepoints.isOwn(path);
    if (!isSavepoints && !path.startsWith(jobPrefix(this.#job))) return;
    must(!this.#written.has(path), () => `X4: ${path} is written a second time`);
    this.#written.add(path);
    // A copy for another job, of one that is known.
    if (path.includes("/shared-")) return;
    if (path.endsWith("_metadata")) this.#cuts.add(path, decodeManifest(bytes, path));
    else if (this.#isInline && !isSavepoints) {
      throw new Violation(`X4: ${path} is written, and all is to be in manifests`);
    }
  }

  deleted(path: string): void {
    for (const { id } of this.#record?.checkpoints.retained ?? []) {
      const needed = this.cut(id)?.files.has(path) === true;
      must(!needed, () => `X4: ${path} is deleted, and retained checkpoint ${id} needs it`);
    }
    const isBegun = this.#needsBegin && this.#begin?.cut.files.has(path) === true;
    must(!isBegun, () => `X4: ${path} is deleted, and job ${this.#job} begins with it`);
    this.savepoints.deleted(path);
  }

  /** It has no checkpoint of its own to go back to, and was promised what it began with. */
  get #needsBegin(): boolean {
    const { restore } = this.#begin ?? {};
    const { phase, checkpoints } = this.#record ?? {};
    if (restore?.hold === undefined && restore?.claimed === undefined) return false;
    return phase !== undefined && !isTerminal(phase) && checkpoints?.retained.length === 0;
  }

  /** Whether what it began with is held for it under that key, and may still be gone back to. */
  needsHold({ owner, nth }: HoldKey): boolean {
    const { cut, restore } = this.#begin ?? {};
    if (restore?.hold?.owner !== owner || restore.hold.nth !== nth) return false;
    const { checkpoints, holds = [] } = this.#record ?? {};
    const ids = [...(checkpoints?.retained ?? []), ...holds.map(({ checkpoint }) => checkpoint)];
    return this.#needsBegin || ids.some(({ id }) => id === cut?.checkpoint);
  }

  /** Whether the job may still restore that file. */
  needs(path: string): boolean {
    const { checkpoints, holds = [] } = this.#record ?? {};
    const ids = [...(checkpoints?.retained ?? []), ...holds.map(({ checkpoint }) => checkpoint)];
    return (
      (this.#needsBegin && this.#begin?.cut.files.has(path) === true) ||
      holds.some((hold) => hold.path === path) ||
      ids.some(({ id }) => this.cut(id)?.files.has(path) === true)
    );
  }

  /** A reader found nothing under a name that the running attempt's checkpoint holds. */
  missing(path: string, attempt: Attempt): void {
    const isDeploying = this.#record?.regions.some(
      (region) => region.phase === "deploying" && region.attempt === attempt,
    );
    must(isDeploying !== true, () => `X4: attempt ${attempt} restores ${path}, gone`);
  }

  // What becomes durable.

  recorded(record: JobRecord): void {
    const before = this.#record;
    this.#record = record;
    const { attempt, checkpoints, phase } = record;
    this.#cuts.runs(
      attempt,
      record.plan,
      record.regions.map((region) => region.attempt),
    );
    if (phase === "RESTARTING" && before?.phase !== phase) this.#restarts++;
    if (record.restingSince !== undefined && before?.restingSince === undefined) this.#rests++;
    must(attempt >= (before?.attempt ?? 0), () => `X5: attempt ${attempt} after a later one`);
    const spent = before?.checkpoints.nextId ?? 0;
    must(
      checkpoints.nextId >= spent,
      () => `X5: checkpoint id ${checkpoints.nextId} after ${spent}`,
    );
    this.savepoints.recorded(record, before);
    if (record.rescales !== before?.rescales) resized(record);
    if (record.lastRestored?.at !== before?.lastRestored?.at) this.#wentBack(record);
    // What the job ends with is committed, as a checkpoint is.
    if (record.stopping !== undefined) this.#complete.add(record.stopping.savepoint.id);
    if (before?.checkpoints.retained === checkpoints.retained) return;
    const latest = before?.checkpoints.retained[0]?.id ?? 0;
    if (checkpoints.retained.length > 0 && checkpoints.retained[0]!.id < latest) this.#fallbacks++;
    for (const { id } of checkpoints.retained) {
      if (this.#complete.has(id) || id === this.#begin?.cut.checkpoint) continue;
      this.#complete.add(id);
      const cut = this.#cuts.get(id);
      if (cut === undefined) {
        throw new Violation(
          `X3: checkpoint ${id} completes without a manifest, or without its files`,
        );
      }
      for (const path of cut.files) {
        must(this.#files.has(path), () => `X4: checkpoint ${id} needs ${path}, which is not there`);
        const isOwn = path.startsWith(jobPrefix(this.#job));
        must(isOwn, () => `X4: checkpoint ${id} needs ${path}, which is not the job's`);
      }
    }
  }

  /** X3. What completes while a job starts again is the former attempt's, and it starts from that. */
  #wentBack({ lastRestored }: JobRecord): void {
    if (lastRestored === undefined || this.#fallbacks > 0) return;
    const latest = Math.max(this.#begin?.cut.checkpoint ?? 0, ...this.#complete);
    const { id } = lastRestored;
    must(id === latest, () => `X3: it goes back to checkpoint ${id}, and ${latest} is complete`);
  }

  // What subtasks say on their way out.

  acknowledging(ack: CheckpointAck): void {
    this.#cuts.acknowledging(ack);
  }

  // What readers are shown.

  shown(
    table: TableShape,
    reader: TaskKey,
    shown: {
      readonly checkpoint: CheckpointId | null;
      readonly rows: StateView;
      /** How many there are of it. */
      readonly parallelism: number;
    },
  ): void {
    const { checkpoint, rows, parallelism } = shown;
    const name = tableName(table);
    const place = `${reader} ${tableUid(table)}`;
    const last = this.#shown.get(place) ?? 0;
    if (checkpoint === null) {
      must(rows.size === 0, () => `X3: ${name} shows ${rows.size} rows of no checkpoint`);
      must(last === 0, () => `X3: ${name} shows nothing after checkpoint ${last}`);
      return;
    }
    const isBegin = checkpoint === this.#begin?.cut.checkpoint;
    const isComplete = isBegin || this.#complete.has(checkpoint);
    must(isComplete, () => `X3: ${name} shows checkpoint ${checkpoint}`);
    const isOlder = checkpoint < last && this.#fallbacks === 0;
    must(!isOlder, () => `X3: ${name} shows checkpoint ${checkpoint} after ${last}`);
    this.#shown.set(place, checkpoint);
    const cut = this.cut(checkpoint)!;
    const { vertex, index } = parseTaskKey(reader);
    const of = cut.plan.vertices.find(({ id }) => id === vertex);
    const expected =
      !isBegin && of?.parallelism === parallelism
        ? (cut.tables.get(place) ?? new Map<string, View>())
        : dealt(cut, table, { index, parallelism });
    const wrong = difference(rows, expected, false);
    must(wrong === undefined, () => `X3: ${name} as of checkpoint ${checkpoint}: ${wrong}`);
  }

  /** Savepoints are behind the end of event time from now on. */
  drains(): void {
    this.#cuts.isDrained = true;
  }

  /** What is wrong with what tables show in the end, all subtasks together. */
  final(
    tables: ReadonlyMap<TableShape, StateView>,
    end: { readonly offsets?: TimedOffsets; readonly hasEnded: boolean },
  ): string | undefined {
    if (topologyOf(this.#lineage).timed !== undefined) {
      const of = (kind: TableShape["of"]): StateView =>
        [...tables].find(([table]) => table.of === kind)?.[1] ?? new Map<string, View>();
      return this.#cuts.timedProblem({ told: of("told"), late: of("late") }, end);
    }
    for (const [table, rows] of tables) {
      const wrong = difference(rows, this.#cuts.whole(tableName(table)), this.#atLeast);
      if (wrong !== undefined) return `${tableName(table)}: ${wrong}`;
    }
    return undefined;
  }

  view(state: string): (value: unknown) => View {
    let view = this.#views.get(state);
    if (view === undefined) {
      this.#views.set(state, (view = viewOf(topologyOf(this.#lineage), state)));
    }
    return view;
  }

  /** That of a checkpoint or savepoint of this job whose files were all there, or of what it began with. */
  cut(checkpoint: CheckpointId): Cut | undefined {
    const { cut } = this.#begin ?? {};
    return cut?.checkpoint === checkpoint ? cut : this.#cuts.get(checkpoint);
  }

  /** Files of this job that neither a retained checkpoint nor a savepoint reaches. */
  unreachable(): string[] {
    const retained = this.#record?.checkpoints.retained ?? [];
    const prefix = jobPrefix(this.#job);
    return [...this.#files.keys()].filter((path) =>
      path.startsWith(prefix)
        ? !retained.some((entry) => this.#cuts.get(entry.id)?.files.has(path))
        : this.savepoints.isLeftBehind(path),
    );
  }

  /** Of these, those that no checkpoint that is still open may need. */
  orphans(): string[] {
    const record = this.#record;
    const latest = record?.checkpoints.retained[0];
    if (latest === undefined) return [];
    // What could not be deleted is for the next checkpoint's sweep, which a job that rests has not had.
    if (record?.restingSince !== undefined && record.checkpoints.litterUpTo !== undefined)
      return [];
    return this.unreachable().filter((path) => {
      // Folders of savepoints that have failed are deleted again a minute later.
      if (this.savepoints.isOwn(path)) return false;
      const id = checkpointOfPath(record!.job, path);
      return id === undefined || id <= latest.id;
    });
  }
}

/** What a subtask takes over of a table, out of so many. */
function dealt(
  { rows, plan: { maxParallelism } }: Cut,
  table: TableShape,
  { index, parallelism }: { readonly index: number; readonly parallelism: number },
): StateView {
  return new Map(
    [...(rows.get(tableUid(table)) ?? [])].filter(
      ([, { key }]) =>
        ownerOf(keyGroupOf(key, maxParallelism), parallelism, maxParallelism) === index,
    ),
  );
}

/** X13 */
function resized({ rescales = [], plan, next }: JobRecord): void {
  const [newest] = rescales;
  const kind = newest?.progress.kind;
  if (newest === undefined || (kind !== "completed" && kind !== "failed")) return;
  const wanted = kind === "completed" ? newest.parallelism : newest.former;
  for (const { id, parallelism } of (next?.plan ?? plan).vertices) {
    const isRight = wanted[id] === undefined || wanted[id] === parallelism;
    must(isRight, () => `X13: a rescale has ${kind}, and ${id} has ${parallelism} subtasks`);
  }
}
