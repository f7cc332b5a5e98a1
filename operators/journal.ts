// What one row has changed so far, so that it can be undone: only where a row that throws is left out
// and the job goes on. Elsewhere there is no journal, and tables are used directly.
//   U1. After `undo` every table reads as it did at `begin`.
//   U2. A journal holds the changes of one row, never of two.

import type { Key } from "../format/key.ts";
import type { KeyedStateStore, StateSlot, StateTable } from "./state/keyed-state.ts";
import type { StateSchema } from "./state/schema.ts";

export class Journal {
  #undos: (() => void)[] = [];

  /** A row begins; what the last one did stays. */
  begin(): void {
    if (this.#undos.length > 0) this.#undos = [];
  }

  /** Called before a change, with what takes it back. */
  readonly note = (undo: () => void): void => {
    this.#undos.push(undo);
  };

  /** Takes back what was done since `begin`, the last change first. */
  undo(): void {
    const undos = this.#undos;
    this.#undos = [];
    for (const undo of undos.reverse()) undo();
  }

  /** The same store, whose changes are noted here. */
  over(store: KeyedStateStore): KeyedStateStore {
    return {
      table: <V>(name: string, schema?: StateSchema<V>) =>
        new JournaledTable(store.table(name, schema), this),
    };
  }
}

class JournaledTable<V> implements StateTable<V> {
  readonly #table: StateTable<V>;
  readonly #journal: Journal;
  readonly prefetch: StateTable<V>["prefetch"];

  constructor(table: StateTable<V>, journal: Journal) {
    this.#table = table;
    this.#journal = journal;
    this.prefetch = table.prefetch?.bind(table);
  }

  get size(): number {
    return this.#table.size;
  }

  get(key: Key): V | undefined {
    return this.#table.get(key);
  }

  put(key: Key, value: V): void {
    this.#note(key, this.#table.get(key));
    this.#table.put(key, value);
  }

  slot(key: Key): StateSlot<V> {
    return this.#table.slot(key);
  }

  putAt({ key }: StateSlot<V>, value: V): void {
    this.put(key, value);
  }

  remove(key: Key): void {
    const held = this.#table.get(key);
    if (held === undefined) return;
    this.#note(key, held);
    this.#table.remove(key);
  }

  entries(): Iterable<[Key, V]> {
    return this.#table.entries();
  }

  under(key: Key): [Key, V][] {
    return this.#table.under(key);
  }

  // Not of any row: what has expired is gone whatever becomes of the row.
  sweep(limit: number): void {
    this.#table.sweep(limit);
  }

  #note(key: Key, held: V | undefined): void {
    const table = this.#table;
    this.#journal.note(() => {
      if (held === undefined) table.remove(key);
      else table.put(key, held);
    });
  }
}
