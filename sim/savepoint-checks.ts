// What must hold of the savepoints of one job.
//   X6. A savepoint that is recorded as complete is a consistent cut (cut.ts) in a folder of its own:
//       all that it needs is there and in that folder, and stays there whatever becomes of the job.
//   X7. A trigger id is one request: it has one outcome, which it keeps. What stops the job is a
//       savepoint that was asked for so.
//   X8. What is in a folder of savepoints in the end is a complete savepoint's.

import type { JobRecord, SavepointRecord } from "../coordinator/job-record.ts";
import type { CheckpointId, JobId } from "../format/ids.ts";
import { folderOf, isInSavepoint } from "../format/paths.ts";
import type { Cut, Cuts } from "./cut.ts";
import { must, Violation } from "./violation.ts";

type Progress = SavepointRecord["progress"];

export class SavepointChecks {
  readonly #job: JobId;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #cuts: Cuts;
  readonly #known = new Set<string>();
  readonly #outcomes = new Map<string, Progress>();
  /** Of complete ones, each with the savepoint that needs it. */
  readonly #kept = new Map<string, CheckpointId>();
  #completed = 0;
  #failed = 0;

  constructor(job: JobId, files: ReadonlyMap<string, Uint8Array>, cuts: Cuts) {
    this.#job = job;
    this.#files = files;
    this.#cuts = cuts;
  }

  get completed(): number {
    return this.#completed;
  }

  get failed(): number {
    return this.#failed;
  }

  /** In a folder of a savepoint of this job. */
  isOwn(path: string): boolean {
    return isInSavepoint(path) && path.includes(`/savepoint-${this.#job}-`);
  }

  isKnown(trigger: string): boolean {
    return this.#known.has(trigger);
  }

  outcomeOf(trigger: string): Progress | undefined {
    return this.#outcomes.get(trigger);
  }

  deleted(path: string): void {
    const of = this.#kept.get(path);
    must(of === undefined, () => `X6: ${path} is deleted, and savepoint ${of} needs it`);
  }

  /** It is another job's from now on, which deletes it when it needs it no longer. */
  claimed({ files }: Cut): void {
    for (const file of files) this.#kept.delete(file);
  }

  /** Whether the file is in a folder of savepoints of this job, and needed by none. */
  isLeftBehind(path: string): boolean {
    return this.isOwn(path) && !this.#kept.has(path);
  }

  recorded({ savepoints = [], stopping }: JobRecord, before: JobRecord | undefined): void {
    if (savepoints === before?.savepoints) return;
    for (const { trigger, progress } of savepoints) {
      if (progress.kind !== "completed" && progress.kind !== "failed") continue;
      const known = this.#outcomes.get(trigger);
      if (known === progress) continue;
      if (known !== undefined) this.#same(trigger, known, progress);
      else this.#ended(trigger, progress);
    }
    const triggers = new Set(savepoints.map(({ trigger }) => trigger));
    for (const trigger of triggers) this.#known.add(trigger);
    must(triggers.size === savepoints.length, () => "X7: two requests have one trigger id");
    if (stopping === undefined || before?.stopping !== undefined) return;
    if (stopping.ends === "finish") return;
    const of = savepoints.find(({ trigger }) => trigger === stopping.trigger);
    must(of?.ends === stopping.ends, () => `X7: nobody asked ${stopping.trigger} to stop the job`);
  }

  #same(trigger: string, known: Progress, now: Progress): void {
    const isSame =
      known.kind === now.kind &&
      (known.kind !== "completed" || (now.kind === "completed" && known.path === now.path));
    must(isSame, () => `X7: savepoint ${trigger} was ${known.kind} and is ${now.kind}`);
  }

  #ended(trigger: string, progress: Progress): void {
    this.#outcomes.set(trigger, progress);
    if (progress.kind === "failed") this.#failed++;
    if (progress.kind !== "completed") return;
    this.#completed++;
    const { path } = progress;
    const { checkpoint, files } = this.cutAt(path);
    for (const file of files) {
      must(this.#files.has(file), () => `X6: savepoint ${path} needs ${file}, which is not there`);
      const isIn = folderOf(file) === folderOf(path);
      must(isIn, () => `X6: savepoint ${path} needs ${file}, which is not in its folder`);
      const other = this.#kept.get(file);
      must(other === undefined, () => `X7: ${file} is of savepoints ${other} and ${checkpoint}`);
      this.#kept.set(file, checkpoint);
    }
  }

  /** What the manifest of a complete savepoint holds. */
  cutAt(path: string): Cut {
    const id = Number(/-(\d+)\/_metadata$/.exec(path)?.[1]) as CheckpointId;
    const cut = this.#cuts.get(id);
    if (cut?.path === path) return cut;
    throw new Violation(`X6: savepoint ${path} completes without a manifest, or without its files`);
  }
}
