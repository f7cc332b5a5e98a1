// Values that are a few numbers each, side by side in one array instead of an object per key: what
// folds of columns read and write without making anything per key.
//   N1. To whoever does not ask for the numbers, a packed value is like any other: it is made anew
//       each time it is read, and what is put replaces it.

import type { Key } from "../../format/key.ts";
import type { StateSlot, StateTable } from "./keyed-state.ts";

/** How a value is numbers, as many for each key. */
export interface Packing<V> {
  /** Equal names, equal packings. */
  readonly name: string;
  readonly width: number;
  /** Writes the numbers of a value; false where it is not made of such numbers alone. */
  pack(this: void, value: unknown, key: Key, to: Float64Array, at: number): boolean;
  /** The value that `pack` was given, of that key. */
  unpack(this: void, key: Key, from: Float64Array, at: number): V;
}

/** A table by the numbers of its values. */
export interface PackedTable<V> {
  /** The numbers of all keys; good until the next `change`. */
  readonly numbers: Float64Array;
  /** The places of these keys are about to be asked for. */
  expect(keys: Iterable<Key>): void;
  /** The place of a key; undefined where it holds what is not such numbers. */
  slot(key: Key): StateSlot<V> | undefined;
  /**
   * Whether a place of a batch before is still that of its key, which holds such numbers. Absent where
   * places do not outlive a batch.
   */
  isKept?(slot: StateSlot<V>): boolean;
  /**
   * Where the numbers of a key begin, which count as changed; the caller writes them before the batch is
   * over, all of them where the key held nothing.
   */
  change(slot: StateSlot<V>): number;
  /** The batch is over: no slot is used any more. */
  done(): void;
}

/** A table by the numbers of its values: its own, or where it holds none copies that go back at the end. */
export const packedOf = <V>(table: StateTable<V>, packing: Packing<V>): PackedTable<V> =>
  table.packed?.(packing) ?? new PackedCopies(table, packing);

interface Copy<V> extends StateSlot<V> {
  readonly of: StateSlot<V>;
  readonly at: number;
}

class PackedCopies<V> implements PackedTable<V> {
  readonly #table: StateTable<V>;
  readonly #packing: Packing<V>;
  readonly #changed: Copy<V>[] = [];
  readonly #numbers: PackedNumbers<V>;

  constructor(table: StateTable<V>, packing: Packing<V>) {
    this.#table = table;
    this.#packing = packing;
    this.#numbers = new PackedNumbers(packing);
  }

  expect(keys: Iterable<Key>): void {
    this.#table.prefetch?.(keys);
  }

  get numbers(): Float64Array {
    return this.#numbers.numbers;
  }

  slot(key: Key): StateSlot<V> | undefined {
    const of = this.#table.slot(key);
    const { id, key: ownKey, isFree, value } = of;
    const at = this.#numbers.take();
    const copy: Copy<V> = { id, key: ownKey, isFree, value, mark: 0, of, at };
    return isFree || this.#packing.pack(value, ownKey, this.numbers, at) ? copy : undefined;
  }

  change(slot: StateSlot<V>): number {
    const copy = slot as Copy<V>;
    this.#changed.push(copy);
    return copy.at;
  }

  done(): void {
    for (const { of, key, at } of this.#changed) this.#table.putAt(of, this.#numbers.read(key, at));
    this.#changed.length = 0;
    this.#numbers.clear();
  }
}

/** The numbers of a table, by place. */
export class PackedNumbers<V> {
  readonly packing: Packing<V>;
  numbers: Float64Array;
  /** Places that were given back. */
  readonly #free: number[] = [];
  #next = 0;

  constructor(packing: Packing<V>) {
    this.packing = packing;
    this.numbers = new Float64Array(64 * packing.width);
  }

  /** Room for one value. */
  take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const at = this.#next;
    this.#next += this.packing.width;
    if (this.#next > this.numbers.length) {
      const grown = new Float64Array(2 * this.numbers.length);
      grown.set(this.numbers);
      this.numbers = grown;
    }
    return at;
  }

  giveBack(at: number): void {
    this.#free.push(at);
  }

  /** All places are given back. */
  clear(): void {
    this.#free.length = 0;
    this.#next = 0;
  }

  read(key: Key, at: number): V {
    return this.packing.unpack(key, this.numbers, at);
  }
}
