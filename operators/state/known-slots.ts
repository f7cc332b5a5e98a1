// The places of keys that come in batch after batch by the same number (known-texts.ts): each is looked up
// once.
//   K1. A place is used again only while its key holds what it held there; any other is looked up anew.

import type { Key } from "../../format/key.ts";
import type { KnownTexts, Texts } from "../../format/known-texts.ts";
import type { StateSlot } from "./keyed-state.ts";
import type { PackedTable } from "./packed.ts";

export class KnownSlots<V> {
  readonly #table: PackedTable<V>;
  /** Those of the texts that were asked for last. */
  #of: Texts | undefined;
  #slots: (StateSlot<V> | undefined)[] = [];

  constructor(table: PackedTable<V>) {
    this.#table = table;
  }

  /**
   * The places of `keys`, of those at `select` where there is one; undefined where one holds what is not
   * such numbers. `known` has the numbers of all keys.
   */
  of(
    keys: readonly Key[],
    known: KnownTexts | undefined,
    select?: Int32Array,
  ): StateSlot<V>[] | undefined {
    const table = this.#table;
    const isKept = known !== undefined && table.isKept !== undefined;
    table.expect(select === undefined ? keys : keysAt(keys, select));
    const count = select?.length ?? keys.length;
    const slots = new Array<StateSlot<V>>(count);
    const before = isKept ? this.#slotsOf(known.of) : undefined;
    for (let i = 0; i < count; i++) {
      const at = select === undefined ? i : select[i]!;
      let slot = before?.[known!.numbers[at]!];
      if (slot === undefined || !table.isKept!(slot)) {
        slot = table.slot(keys[at]!);
        if (slot === undefined) return undefined;
        if (before !== undefined) before[known!.numbers[at]!] = slot;
      }
      slots[i] = slot;
    }
    return slots;
  }

  #slotsOf(texts: Texts): (StateSlot<V> | undefined)[] {
    if (this.#of !== texts) {
      this.#of = texts;
      this.#slots = [];
    }
    // Without holes, numbers above the length come in order.
    while (this.#slots.length < texts.length) this.#slots.push(undefined);
    return this.#slots;
  }
}

function* keysAt(keys: readonly Key[], select: Int32Array): Generator<Key> {
  for (const at of select) yield keys[at]!;
}
