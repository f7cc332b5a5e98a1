// The table sink: the last row of each key, of which only what a completed checkpoint holds is
// final. Rows written since are there for whoever asks for the latest.
//
// `rows` holds the latest row of each key and is what a snapshot stores. What is committed is not
// stored a second time: each epoch, from one barrier to the next, remembers in memory the row that
// each key had before the epoch first wrote it.
//   T1. The committed row of a key is what the oldest uncommitted epoch that wrote the key remembers,
//       or the latest row where none wrote it.
//   T2. An epoch gets its checkpoint's id at the barrier, and ids only rise.
//   T3. Committing a checkpoint forgets all epochs up to it. An aborted checkpoint's epoch stays
//       uncommitted until a later checkpoint completes, which includes its rows.
//   T5. A change (changelog.ts of stream) that deletes removes the row of its key; one that says what is about
//       to be replaced does nothing, as the row that replaces it has the same key. Of a key whose row was
//       deleted nothing is left once that is committed.
//   T4. After a restore the latest rows are the committed ones: a snapshot is taken at the barrier.

import type { CheckpointId } from "../format/ids.ts";
import { comesBefore, keyId, type Key, type KeyId } from "../format/key.ts";
import type { TableQuery } from "../format/messages.ts";
import { kindOf, rowOf } from "../stream/changelog.ts";
import type { KeySelector } from "../stream/graph.ts";
import { Heap } from "./heap.ts";
import { isColumnar, type RecordBatch, type SinkOperator } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import type { StateSlot, StateTable } from "./state/keyed-state.ts";
import { ColumnWriter } from "./table-columns.ts";

/** `committed`: as of the last completed checkpoint. `latest`: all that was written. */
export type TableRead = TableQuery["read"];

/** What an epoch has done. */
interface Epoch {
  /** The row that each key had before; undefined where it had none. */
  readonly undo: Map<KeyId, unknown>;
  /** The keys whose rows were deleted, whether others took their places or not. */
  readonly deleted: Map<KeyId, Key>;
}

interface SealedEpoch extends Epoch {
  readonly checkpoint: CheckpointId;
}

/** Some rows of a table, in the order of their keys. */
export interface Page {
  readonly rows: readonly unknown[];
  /** Of the rows. */
  readonly keys: readonly Key[];
  /** Whether there are others behind them. */
  readonly hasMore: boolean;
}

interface Found {
  readonly id: KeyId;
  readonly key: Key;
  readonly row: unknown;
}

const newEpoch = (): Epoch => ({ undo: new Map(), deleted: new Map() });

export class TableOperator implements SinkOperator {
  readonly name: string;
  readonly #self: RejectingOperator;
  readonly #key: KeySelector;
  readonly #rows: StateTable<unknown>;
  readonly #columns: ColumnWriter;
  /** Uncommitted and past their barrier, oldest first. */
  #sealed: SealedEpoch[] = [];
  #running = newEpoch();
  /** The number of the running epoch, with which the places of its rows are marked. */
  #epoch = 1;
  #committed: CheckpointId | null = null;

  constructor(self: RejectingOperator, name: string, key: KeySelector, rows: StateTable<unknown>) {
    this.#self = self;
    this.name = name;
    this.#key = key;
    this.#rows = rows;
    this.#columns = new ColumnWriter(key, rows);
  }

  /** The checkpoint that `committed` reads stand for; null before the first. */
  get committedCheckpoint(): CheckpointId | null {
    return this.#committed;
  }

  processBatch(batch: RecordBatch): void {
    const select = this.#key;
    const latest = this.#rows;
    const { undo, deleted } = this.#running;
    const epoch = this.#epoch;
    const remember = (slot: StateSlot<unknown>): void => {
      if (slot.mark === epoch) return;
      slot.mark = epoch;
      if (!undo.has(slot.id)) undo.set(slot.id, slot.value);
    };
    const hasKinds = isColumnar(batch) && batch.fields.includes("$kind");
    if (!hasKinds && this.#columns.write(batch, remember)) return;
    const rows = batch.rows();
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          const row = rows[i];
          const kind = kindOf(row);
          if (kind === "-U") continue;
          const key = select(row as never);
          const slot = latest.slot(key);
          if (kind !== "-D") {
            remember(slot);
            latest.putAt(slot, rowOf(row));
          } else if (!slot.isFree) {
            remember(slot);
            deleted.set(slot.id, key);
            latest.remove(key);
          }
        }
      } catch (error) {
        rejectRow(this.#self, `table "${this.name}"`, batch, i, error);
      }
    }
  }

  /** The state was restored from that checkpoint. Called before the first batch. */
  restored(checkpoint: CheckpointId): void {
    this.#committed = checkpoint;
  }

  prepareCommit(checkpoint: CheckpointId): void {
    const last = this.#sealed.at(-1)?.checkpoint ?? this.#committed ?? 0;
    if (checkpoint <= last) {
      throw new Error(`T2: table "${this.name}" got barrier ${checkpoint} after ${last}.`);
    }
    this.#sealed.push({ checkpoint, ...this.#running });
    this.#running = newEpoch();
    this.#epoch++;
  }

  commit(checkpoint: CheckpointId): void {
    if (this.#committed !== null && checkpoint <= this.#committed) return;
    this.#committed = checkpoint;
    this.#sealed = this.#sealed.filter((epoch) => epoch.checkpoint > checkpoint);
  }

  /** The row of a key, or undefined where it has none. */
  read(mode: TableRead, key: Key): unknown {
    const latest = this.#rows.get(key);
    return mode === "latest" ? latest : this.#committedRow(keyId(key), latest);
  }

  /** All keys and their rows, in no order. Valid until the next batch. */
  *entries(mode: TableRead): Generator<[Key, unknown]> {
    for (const [key, latest] of this.#rows.entries()) {
      const row = mode === "latest" ? latest : this.#committedRow(keyId(key), latest);
      if (row !== undefined) yield [key, row];
    }
    if (mode === "latest") return;
    const seen = new Set<KeyId>();
    for (const { deleted } of [...this.#sealed, this.#running]) {
      for (const [id, key] of deleted) {
        if (seen.has(id) || this.#rows.get(key) !== undefined) continue;
        seen.add(id);
        const row = this.#committedRow(id, undefined);
        if (row !== undefined) yield [key, row];
      }
    }
  }

  /** What a query asks for. */
  select({ read, key, page }: TableQuery): {
    readonly rows: readonly unknown[];
    readonly page?: Omit<Page, "rows">;
  } {
    if (key !== undefined) {
      const row = this.read(read, key as Key);
      return { rows: row === undefined ? [] : [row] };
    }
    if (page === undefined) return { rows: Array.from(this.entries(read), ([, row]) => row) };
    const { limit, after } = page;
    const { rows, ...of } = this.page(read, limit, after as Key | undefined);
    return { rows, page: of };
  }

  /**
   * The first `limit` rows in the order of their keys (`comesBefore`), behind those up to `after`. Looks at
   * all rows, and holds no more than it answers.
   */
  page(mode: TableRead, limit: number, after?: Key): Page {
    const from = after === undefined ? undefined : keyId(after);
    const found = new Heap<Found>((left, right) => comesBefore(right.id, left.id));
    for (const [key, row] of this.entries(mode)) {
      const id = keyId(key);
      if (from !== undefined && !comesBefore(from, id)) continue;
      if (found.size > limit) {
        if (!comesBefore(id, found.first!.id)) continue;
        found.pop();
      }
      found.push({ id, key, row });
    }
    const hasMore = found.size > limit;
    if (hasMore) found.pop();
    const all: Found[] = [];
    for (let { first } = found; first !== undefined; { first } = found) {
      all.push(first);
      found.pop();
    }
    all.reverse();
    return { rows: all.map(({ row }) => row), keys: all.map(({ key }) => key), hasMore };
  }

  #committedRow(id: KeyId, latest: unknown): unknown {
    for (const { undo } of this.#sealed) if (undo.has(id)) return undo.get(id);
    const { undo } = this.#running;
    return undo.has(id) ? undo.get(id) : latest;
  }
}
