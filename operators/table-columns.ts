// Rows of a table that come as columns: a key that is a text, and numbers. They are written as numbers,
// without making rows, which are made when somebody reads them.
//   W1. What the table holds is what it would hold had it been given the rows.
//   W2. Whether a batch can be written so is known before anything is changed.

import type { Column } from "../format/batch.ts";
import { fieldOf } from "../stream/fields.ts";
import type { KeySelector } from "../stream/graph.ts";
import { isColumnar, type RecordBatch } from "./operator.ts";
import type { StateSlot, StateTable } from "./state/keyed-state.ts";
import { KnownSlots } from "./state/known-slots.ts";
import { packedOf, type PackedTable, type Packing } from "./state/packed.ts";

type Slot = StateSlot<unknown>;

export class ColumnWriter {
  readonly #keyField: string | undefined;
  readonly #table: StateTable<unknown>;
  /** For the fields of the batch before. */
  #latest: Packed | undefined;

  constructor(key: KeySelector, table: StateTable<unknown>) {
    this.#keyField = fieldOf(key);
    this.#table = table;
  }

  /**
   * Writes the rows of a batch, each after `before` was called with its place; false where it is for
   * the rows (W2).
   */
  write(batch: RecordBatch, before: (slot: Slot) => void): boolean {
    const keyField = this.#keyField;
    if (keyField === undefined || !isColumnar(batch) || !batch.fields.includes(keyField)) {
      return false;
    }
    const { fields } = batch;
    const keys = batch.column(keyField);
    if (keys.kind !== "string") return false;
    const columns = fields
      .filter((field) => field !== keyField)
      .map((field) => batch.column(field));
    if (!columns.every(isNumeric)) return false;
    const { rows, known } = this.#packed(fields, keyField);
    const slots = known.of(keys.values, keys.dictionary === undefined ? keys.known : undefined);
    if (slots === undefined) {
      rows.done();
      return false;
    }
    const places = new Int32Array(slots.length);
    for (let i = 0; i < slots.length; i++) {
      before(slots[i]!);
      places[i] = rows.change(slots[i]!);
    }
    for (const [offset, { values }] of columns.entries()) {
      copy(values, { numbers: rows.numbers, places, offset });
    }
    rows.done();
    return true;
  }

  #packed(fields: readonly string[], keyField: string): Packed {
    const latest = this.#latest;
    const isSame =
      latest?.fields.length === fields.length &&
      fields.every((field, at) => field === latest.fields[at]);
    if (latest !== undefined && isSame) return latest;
    const rows = packedOf(this.#table, rowPacking(fields, keyField));
    return (this.#latest = { fields, rows, known: new KnownSlots(rows) });
  }
}

/** The table by the numbers of rows with these fields. */
interface Packed {
  readonly fields: readonly string[];
  readonly rows: PackedTable<unknown>;
  readonly known: KnownSlots<unknown>;
}

type NumericColumn = Extract<Column, { kind: "int32" | "float64" }>;

const isNumeric = (column: Column): column is NumericColumn =>
  column.kind === "int32" || column.kind === "float64";

function copy(
  values: NumericColumn["values"],
  to: { readonly numbers: Float64Array; readonly places: Int32Array; readonly offset: number },
): void {
  const { numbers, places, offset } = to;
  for (let i = 0; i < values.length; i++) numbers[places[i]! + offset] = values[i]!;
}

/** Rows with these fields, one of which is their key, a text, and the others numbers. */
function rowPacking(fields: readonly string[], keyField: string): Packing<unknown> {
  return {
    name: `row ${JSON.stringify([keyField, fields])}`,
    width: fields.length - 1,
    pack(value, key, to, at) {
      if (typeof value !== "object" || value === null || typeof key !== "string") return false;
      if (Object.getPrototypeOf(value) !== Object.prototype) return false;
      const names = Object.keys(value);
      if (names.length !== fields.length) return false;
      const row = value as Readonly<Record<string, unknown>>;
      let place = at;
      for (const [i, field] of fields.entries()) {
        const held = row[field];
        if (names[i] !== field) return false;
        if (field === keyField && held !== key) return false;
        if (field === keyField) continue;
        if (typeof held !== "number") return false;
        to[place++] = held;
      }
      return true;
    },
    unpack(key, from, at) {
      const row: Record<string, unknown> = {};
      let place = at;
      for (const field of fields) row[field] = field === keyField ? key : from[place++];
      return row;
    },
  };
}
