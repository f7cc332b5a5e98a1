// What the task core needs of a backend of keyed state, beside what operators do with it. One backend
// holds all state of one subtask; each operator has a store of its own in it.
//   B1. A full freeze holds every key, a delta every key put or removed since the freeze before,
//       whatever kind that was and whatever became of it: restoring a full freeze and the deltas
//       after it, in order, gives the table.
//   B2. A removed key is in a delta only if an earlier freeze may hold it; what came and went
//       between two freezes leaves no trace.
//   B3. A full freeze leaves out what has expired.
//   B4. A merged freeze holds every key put or removed since the full freeze: it stands for all deltas
//       after that one.

import type { KeyGroupRange } from "../../format/key-groups.ts";
import type { CheckpointId } from "../../format/ids.ts";
import type { Segment, SegmentEntry, SegmentHeader, StoredSchema } from "../../format/segment.ts";
import type { KeyedStateStore, StateTable } from "./keyed-state.ts";

/** What a freeze holds: everything, what changed since the one before, or since the full one. */
export type FreezeKind = SegmentHeader["kind"] | "merged";

/** Segments to restore one state from: a full one, then the deltas after it. */
export interface StateSource {
  readonly segments: readonly (Pick<Segment, "header" | "entries" | "open"> & {
    readonly blocks?: Segment["blocks"];
  })[];
  /** The key groups to take of them. */
  readonly range: KeyGroupRange;
}

/**
 * What a freeze holds. Read it before anything else happens, as it shares the values that operators go
 * on to change in place; or have it kept, where it can be.
 */
export interface FrozenEntries extends Iterable<SegmentEntry> {
  /** What is read later stays as it is now; called before anything else happens, or not at all. */
  readonly keep?: () => KeptEntries;
  /** Bytes that it takes as it is stored, about. */
  readonly bytes?: number;
}

/** What a freeze holds, whatever has changed since, until it is released. */
export interface KeptEntries extends Iterable<SegmentEntry> {
  release(): void;
}

export interface BackendTable extends StateTable<unknown> {
  readonly schema: StoredSchema;
  /** Keys that a delta would hold now, or more; 0 exactly where it would hold none. */
  readonly changes: number;
  /** Keys that a merged freeze would hold now, or more; counted each time. Absent where there is none. */
  readonly mergedChanges?: number;
  /** What was restored was stored under another schema, so nothing may be added to what is stored. */
  readonly isUpgraded: boolean;
  /**
   * The entries to write at a barrier, ordered by key group where the backend says so; later changes
   * are the next freeze's.
   */
  freeze(kind: FreezeKind): FrozenEntries;
}

export interface BackendStore extends KeyedStateStore {
  /** Every table there is, by name. */
  tables(): ReadonlyMap<string, BackendTable>;
  /** A table of that name begins with this, once it is asked for. Called before any is. */
  restore(name: string, sources: readonly StateSource[]): void;
  /** Restores also what no operator asked for, to be carried on as it is. */
  restoreRest(): void;
}

export interface StateBackend {
  /** Whether `freeze` gives entries ordered by key group, without having them all in memory. */
  readonly freezesInOrder: boolean;
  /** Whether what was sealed is in rows that outlive the memory of the object. */
  readonly holdsRows: boolean;
  /** The store of an operator; the same one at every call. */
  store(uid: string): BackendStore;
  /**
   * Bytes of the memory budget that are taken by keyed state; 0 where state beyond it has another place.
   */
  readonly bytes: number;
  stores(): ReadonlyMap<string, BackendStore>;
  /** Every table was frozen for this checkpoint. */
  sealed(checkpoint: CheckpointId): void;
  /** The checkpoint is durable, and so are all before it. May be called again. */
  completed(checkpoint: CheckpointId): void;
  /**
   * Called between batches, with the bytes that other state takes of the budget.
   * @throws StateError when there is more keyed state than the budget allows
   */
  check(others: number): void;
}
