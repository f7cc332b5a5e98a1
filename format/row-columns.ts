// Rows to columns, batch after batch, before they are divided among channels: what is divided, kept and
// gathered into frames then are numbers, and the rows are garbage at once.
//   W1. `columns[f].values[i]` is `rows[i][fields[f]]`, exactly (C1 of column.ts). Rows that are not all
//       plain objects with the same fields in the same order are left as they are.
//   W2. Texts that repeat are codes of a dictionary that outlives the batch: entries are only ever added
//       to it, so what was coded by it stays right. It is bounded, and given up where texts do not repeat.
//       Several places may share it: rows of one edge are much the same, whoever sends them.

import { canBeColumns, copyFields, encodedFieldsMax, isPlain } from "./batch.ts";
import { dictionaryColumn, ownText, type Column } from "./column.ts";

export interface Columns {
  readonly fields: readonly string[];
  readonly columns: readonly Column[];
}

/** The texts of fields, by the names of these. */
export class FieldTexts {
  readonly #byField = new Map<string, TextCodes>();

  of(field: string): TextCodes {
    const known = this.#byField.get(field);
    if (known !== undefined) return known;
    if (this.#byField.size === encodedFieldsMax) this.#byField.clear();
    const texts = new TextCodes();
    this.#byField.set(field, texts);
    return texts;
  }
}

/** The columns of rows that come batch after batch from one place. */
export class RowColumns {
  readonly #of: FieldTexts;
  #fields: readonly string[] = [];
  #texts: readonly TextCodes[] = [];

  /** @param of its texts, and those of others that have much the same rows */
  constructor(of = new FieldTexts()) {
    this.#of = of;
  }

  /** Undefined where the rows are not for columns (W1). */
  of(rows: readonly unknown[]): Columns | undefined {
    const first = rows[0];
    if (!isPlain(first)) return undefined;
    this.#begin(Object.keys(first));
    const fields = this.#fields;
    if (fields.length === 0 || !canBeColumns(fields)) return undefined;
    const values = fields.map(() => new Array<unknown>(rows.length));
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i];
      if (!isPlain(row) || !copyFields(row, fields, values, i)) return undefined;
    }
    const columns = values.map((each, field) => columnOf(each, this.#texts[field]!));
    return { fields, columns };
  }

  #begin(fields: readonly string[]): void {
    const before = this.#fields;
    if (before.length === fields.length && fields.every((field, at) => field === before[at]))
      return;
    this.#fields = fields;
    this.#texts = fields.map((field) => this.#of.of(field));
  }
}

function columnOf(values: readonly unknown[], texts: TextCodes): Column {
  switch (typeof values[0]) {
    case "number":
      return numbersOf(values) ?? { kind: "any", values };
    case "string":
      return texts.of(values) ?? { kind: "any", values };
    case "boolean":
      return values.every((value) => typeof value === "boolean")
        ? { kind: "boolean", values }
        : { kind: "any", values };
    default:
      return { kind: "any", values };
  }
}

function numbersOf(values: readonly unknown[]): Column | undefined {
  const ints = new Int32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== "number") return undefined;
    ints[i] = value;
    // Not -0, which is equal to the 0 that it became.
    if (ints[i] !== value || (value === 0 && 1 / value < 0)) return floatsOf(values);
  }
  return { kind: "int32", values: ints };
}

function floatsOf(values: readonly unknown[]): Column | undefined {
  const floats = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== "number") return undefined;
    floats[i] = value;
  }
  return { kind: "float64", values: floats };
}

/** Most entries of a dictionary that outlives its batch, and most UTF-16 units of their texts. */
const entriesMax = 16_384;
const unitsMax = 262_144;
/** Rows after which a dictionary must have proven itself, and the share of them that may be new to it. */
const trialRows = 1_024;
const newShareMax = 0.6;
/** Batches that are left alone after a dictionary that did not. */
const batchesLeftAlone = 64;

/** The texts of one field. */
class TextCodes {
  #codes = new Map<string, number>();
  #entries: string[] = [];
  #units = 0;
  /** Rows that were coded. */
  #rows = 0;
  #leftAlone = 0;

  /** Undefined where some are no texts. */
  of(values: readonly unknown[]): Column | undefined {
    if (this.#leftAlone > 0) {
      this.#leftAlone--;
      return textsOf(values);
    }
    if (values.length > entriesMax) return textsOf(values);
    const known = this.#codes;
    const entries = this.#entries;
    const codes = new Uint16Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const text = values[i];
      if (typeof text !== "string") return undefined;
      codes[i] = known.get(text) ?? this.#add(text);
    }
    this.#rows += values.length;
    if (this.#rows >= trialRows && entries.length > newShareMax * this.#rows) {
      this.#leftAlone = batchesLeftAlone;
      this.#forget();
      return textsOf(values);
    }
    if (entries.length > entriesMax || this.#units > unitsMax) this.#forget();
    return dictionaryColumn({ entries, codes });
  }

  #add(text: string): number {
    const own = ownText(text);
    const code = this.#entries.push(own) - 1;
    this.#codes.set(own, code);
    this.#units += own.length;
    return code;
  }

  #forget(): void {
    this.#codes = new Map();
    this.#entries = [];
    this.#units = 0;
    this.#rows = 0;
  }
}

function textsOf(values: readonly unknown[]): Column | undefined {
  const isText = (value: unknown): value is string => typeof value === "string";
  return values.every(isText) ? { kind: "string", values, dictionary: undefined } : undefined;
}
