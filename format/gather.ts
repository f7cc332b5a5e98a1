// One column out of selections of several others, without a row or a value in between: numbers are
// copied, and of dictionaries what is used. Of rows without a value their bits are.
//   G1. What is read equals what the selected values would be read as, had they been written.

import { type Absent, absentValue, hasBit, noBits, setBit } from "./absent.ts";
import type { ByteWriter } from "./bytes.ts";
import {
  beginColumn,
  dictionaryColumn,
  endColumn,
  form,
  nullableColumn,
  writeCodes,
  writeColumn,
  writeTexts,
  type Column,
  type Dictionary,
  type PresentColumn,
} from "./column.ts";

/** Some values of a column. */
export interface ColumnPart {
  readonly column: Column;
  /** Their positions, in order; where absent they stand one after the other. */
  readonly select: Int32Array | undefined;
  /** The first to take: in `select`, or in the column itself. */
  readonly from: number;
  readonly count: number;
}

/** Largest share of distinct texts that a dictionary is worth its codes for. */
const dictionaryShareMax = 0.75;
/** Codes are at most two bytes. */
const codedRowsMax = 65_536;

/** A part in which every row has a value. */
interface PresentPart extends ColumnPart {
  readonly column: PresentColumn;
}

/** Appends the values of all parts as one column of `rows` values. */
export function writeGathered(out: ByteWriter, parts: readonly ColumnPart[], rows: number): void {
  const kind = kindOf(parts);
  if (kind === "values") return writeColumn(out, valuesOf(parts, rows));
  const absent = gatheredAbsent(parts, rows);
  const present = parts.map(absent === undefined ? whole : presentPart);
  const count = present.reduce((sum, part) => sum + part.count, 0);
  if (count === 0 || (kind === "dictionary" && count > codedRowsMax)) {
    return writeColumn(out, valuesOf(parts, rows));
  }
  if (kind === "dictionary") return writeDictionary(out, present, count, absent);
  const lengthAt = beginColumn(out, form[kind], absent);
  copyNumbers(
    present,
    kind === "int32" ? out.typedRoom(Int32Array, count) : out.typedRoom(Float64Array, count),
  );
  endColumn(out, lengthAt);
}

/** The values at some positions of a column, as a column. */
export function selectedColumn(column: Column, select: Int32Array): Column {
  switch (column.kind) {
    case "any":
      return { kind: "any", values: pick(column.values, select) };
    case "nullable": {
      const part = { column, select, from: 0, count: select.length };
      const absent = gatheredAbsent([part], select.length);
      const present = selectedPresent(column.present, select);
      return absent === undefined ? present : nullableColumn(present, absent);
    }
    default:
      return selectedPresent(column, select);
  }
}

function selectedPresent(column: PresentColumn, select: Int32Array): PresentColumn {
  switch (column.kind) {
    case "int32":
    case "float64":
      return selectedNumbers(column, select);
    case "boolean":
      return { kind: "boolean", values: pick(column.values, select) };
    case "string": {
      const { dictionary } = column;
      if (dictionary === undefined) {
        return { kind: "string", values: pick(column.values, select), dictionary };
      }
      const { entries, codes, known } = dictionary;
      const type = codes instanceof Uint8Array ? Uint8Array : Uint16Array;
      const selected = new type(select.length);
      for (let i = 0; i < select.length; i++) selected[i] = codes[select[i]!]!;
      return dictionaryColumn({ entries, codes: selected, known });
    }
  }
}

function selectedNumbers(
  column: Extract<Column, { kind: "int32" | "float64" }>,
  select: Int32Array,
): PresentColumn {
  const part = { column, select, from: 0, count: select.length };
  if (column.kind === "int32") {
    const values = new Int32Array(select.length);
    copyNumbers([part], values);
    return { kind: "int32", values };
  }
  const values = new Float64Array(select.length);
  copyNumbers([part], values);
  return { kind: "float64", values };
}

function pick<T>(values: readonly T[], select: Int32Array): T[] {
  const picked = new Array<T>(select.length);
  for (let i = 0; i < select.length; i++) picked[i] = values[select[i]!]!;
  return picked;
}

function kindOf(parts: readonly ColumnPart[]): "int32" | "float64" | "dictionary" | "values" {
  let [ints, floats, coded] = [0, 0, 0];
  for (const { column } of parts) {
    const present = column.kind === "nullable" ? column.present : column;
    if (present.kind === "int32") ints++;
    else if (present.kind === "float64") floats++;
    else if (present.kind === "string" && present.dictionary !== undefined) coded++;
    else return "values";
  }
  if (ints === parts.length) return "int32";
  if (ints + floats === parts.length) return "float64";
  return coded === parts.length ? "dictionary" : "values";
}

/** The gathered rows that have no value; undefined where all have one. */
function gatheredAbsent(parts: readonly ColumnPart[], rows: number): Absent | undefined {
  let bits: Uint8Array | undefined;
  let undefineds: Uint8Array | undefined;
  let at = 0;
  for (const { column, select, from, count } of parts) {
    if (column.kind === "nullable") {
      const { absent } = column;
      for (let i = 0; i < count; i++) {
        const row = select === undefined ? from + i : select[from + i]!;
        if (!hasBit(absent.bits, row)) continue;
        setBit((bits ??= noBits(rows)), at + i);
        if (absentValue(absent, row) === null) continue;
        setBit((undefineds ??= noBits(rows)), at + i);
      }
    }
    at += count;
  }
  return bits && { bits, undefineds };
}

/** A part of which no selected row is without a value. */
function whole(part: ColumnPart): PresentPart {
  const { column } = part;
  if (column.kind === "nullable") return { ...part, column: column.present };
  return part as PresentPart;
}

/** The rows of a part that have a value. */
function presentPart(part: ColumnPart): PresentPart {
  const { column, select, from, count } = part;
  if (column.kind !== "nullable") return whole(part);
  const positions = new Int32Array(count);
  let kept = 0;
  for (let i = from; i < from + count; i++) {
    const row = select === undefined ? i : select[i]!;
    if (!hasBit(column.absent.bits, row)) positions[kept++] = row;
  }
  return { column: column.present, select: positions, from: 0, count: kept };
}

function copyNumbers(parts: readonly PresentPart[], to: Int32Array | Float64Array): void {
  let at = 0;
  for (const { column, select, from, count } of parts) {
    const values = column.values as Int32Array | Float64Array;
    if (select === undefined) to.set(values.subarray(from, from + count), at);
    else for (let i = 0; i < count; i++) to[at + i] = values[select[from + i]!]!;
    at += count;
  }
}

function valuesOf(parts: readonly ColumnPart[], rows: number): unknown[] {
  const gathered = new Array<unknown>(rows);
  let at = 0;
  for (const { column, select, from, count } of parts) {
    const { values } = column;
    for (let i = from; i < from + count; i++) {
      gathered[at++] = values[select === undefined ? i : select[i]!];
    }
  }
  return gathered;
}

function writeDictionary(
  out: ByteWriter,
  parts: readonly PresentPart[],
  rows: number,
  absent: Absent | undefined,
): void {
  const { entries, codes } = mergeDictionaries(parts, rows);
  if (entries.length > dictionaryShareMax * rows) {
    const lengthAt = beginColumn(out, form.text, absent);
    const texts = new Array<string>(rows);
    for (let i = 0; i < rows; i++) texts[i] = entries[codes[i]!]!;
    writeTexts(out, texts);
    return endColumn(out, lengthAt);
  }
  const lengthAt = beginColumn(out, form.dictionary, absent);
  out.u32(entries.length);
  writeTexts(out, entries);
  writeCodes(out, codes, entries.length);
  endColumn(out, lengthAt);
}

// What the codes of a dictionary have become, each as `base` and its new code, which is below `end`. A
// number below `base` is of a dictionary before; so nothing has to be cleared for the next.
let renumbered = new Int32Array(1_024);
let base = 1;
let end = 1;

function beginDictionary(entries: number, codesMax: number): void {
  base = end;
  if (base > 2 ** 30) {
    renumbered.fill(0);
    base = 1;
  }
  end = base + codesMax;
  if (renumbered.length < entries) renumbered = new Int32Array(2 * entries);
}

/** One dictionary of what the parts use of theirs, in the order of its first use. */
function mergeDictionaries(parts: readonly PresentPart[], rows: number): Dictionary {
  const entries: string[] = [];
  const codes = new Uint16Array(rows);
  const dictionaries = parts.map(({ column }) => dictionaryOf(column));
  // The entries of one dictionary differ; those of several may be the same texts.
  const isOne = dictionaries.every((each) => each.entries === dictionaries[0]!.entries);
  const byText = isOne ? undefined : new Map<string, number>();
  let last: Dictionary["entries"] | undefined;
  let at = 0;
  for (const [part, { select, from, count }] of parts.entries()) {
    const { entries: texts, codes: own } = dictionaries[part]!;
    if (texts !== last) beginDictionary(texts.length, rows);
    last = texts;
    for (let i = from; i < from + count; i++) {
      const code = own[select === undefined ? i : select[i]!]!;
      let next = renumbered[code]! - base;
      if (next < 0) {
        next = byText?.get(texts[code]!) ?? entries.push(texts[code]!) - 1;
        byText?.set(texts[code]!, next);
        renumbered[code] = base + next;
      }
      codes[at++] = next;
    }
  }
  return { entries, codes };
}

const dictionaryOf = (column: PresentColumn): Dictionary =>
  (column as Extract<PresentColumn, { kind: "string" }>).dictionary!;
