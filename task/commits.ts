// What leaves a subtask in two phases: prepared at a barrier, done after its checkpoint completed.
//   G1. What was prepared and may not be done yet is part of every snapshot, as it was prepared; after
//       a restore exactly one subtask goes on with it (operator-state.ts, Q2).
//   G2. Nothing is done before a checkpoint that holds it has completed.
//   G3. A commit has an id by which the receiver knows it again, for ever: it may be done twice, by a
//       subtask that did not hear of the first time, by the next attempt, by a zombie.

import type { CheckpointId } from "../format/ids.ts";
import { type OperatorStateStore, plainElements } from "../operators/state/operator-state.ts";

/** What is stored in snapshots and done in the end. */
export type Commit = Append | FilePut;

/** Rows that become an object of the bucket. Its path is its id: it is written once. */
export interface FilePut {
  readonly id: string;
  /** The first checkpoint that holds it; 0 in a job without checkpoints. */
  readonly checkpoint: number;
  readonly file: Uint8Array;
}

/** An append to a topic partition. */
export interface Append {
  /** Names the job, the subtask that prepared it, the checkpoint and the topic. */
  readonly id: string;
  /** The first checkpoint that holds it; 0 in a job without checkpoints. */
  readonly checkpoint: number;
  readonly topic: string;
  readonly partition: number;
  /** Of the batches: tells another commit under the same id. */
  readonly digest: number;
  readonly batches: readonly { readonly rows: number; readonly bytes: Uint8Array }[];
}

export class Commits {
  #open: readonly Commit[];
  #appendBytes: number;
  #fileBytes: number;
  readonly #begun = new Set<string>();

  /**
   * Snapshots hold the commits as state of the chain's first operator. At another size or in other code
   * a chain may begin elsewhere: what any other operator of this one holds is taken over.
   */
  constructor(first: OperatorStateStore, others: readonly OperatorStateStore[]) {
    const taken = others.flatMap((store) =>
      register(
        store,
        () => [],
        () => 0,
      ),
    );
    const own = register(
      first,
      () => this.#open,
      () => this.#appendBytes + this.#fileBytes,
    );
    this.#open = [...own, ...taken];
    this.#appendBytes = appendBytesOf(this.#open);
    this.#fileBytes = fileBytesOf(this.#open);
  }

  /** Bytes of appends that are not known to be done. */
  get bytes(): number {
    return this.#appendBytes;
  }

  get isEmpty(): boolean {
    return this.#open.length === 0;
  }

  prepare(commits: readonly Commit[]): void {
    if (commits.length > 0) this.#hold([...this.#open, ...commits]);
  }

  /** The checkpoint is durable, and so are all before it: what is to be done now. */
  completed(checkpoint: CheckpointId): readonly Commit[] {
    const due = this.#open.filter(
      (commit) => commit.checkpoint <= checkpoint && !this.#begun.has(commit.id),
    );
    for (const { id } of due) this.#begun.add(id);
    return due;
  }

  /** It is done. */
  settled(id: string): void {
    this.#begun.delete(id);
    this.#hold(this.#open.filter((commit) => commit.id !== id));
  }

  #hold(commits: readonly Commit[]): void {
    this.#open = commits;
    this.#appendBytes = appendBytesOf(commits);
    this.#fileBytes = fileBytesOf(commits);
  }
}

const register = (
  store: OperatorStateStore,
  elements: () => readonly Commit[],
  bytes: () => number,
): readonly Commit[] =>
  store.register("commits/topics", {
    redistribution: "split",
    schema: plainElements,
    elements,
    bytes,
  }) as readonly Commit[];

const isFilePut = (commit: Commit): commit is FilePut => "file" in commit;

/** The effect that does it. */
export const effectOf = (
  commit: Commit,
):
  | { readonly kind: "append"; readonly commit: Append }
  | { readonly kind: "put"; readonly commit: FilePut } =>
  isFilePut(commit) ? { kind: "put", commit } : { kind: "append", commit };

const appendBytesOf = (commits: readonly Commit[]): number =>
  commits.reduce(
    (total, commit) =>
      isFilePut(commit)
        ? total
        : commit.batches.reduce((sum, { bytes }) => sum + bytes.length, total),
    0,
  );

const fileBytesOf = (commits: readonly Commit[]): number =>
  commits.reduce((total, commit) => total + (isFilePut(commit) ? commit.file.length : 0), 0);
