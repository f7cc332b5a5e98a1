// Record batches: rows as columns in one run of bytes, the unit of work everywhere.
//
// Rows of the same shape (plain objects with the same keys in the same order, or arrays of the same
// length) become a column per field. Rows of another shape travel beside them as odd rows, exact
// but slower. Rows that are neither, or share no shape, are one unnamed column.
//   R1. decodeRows(encodeRows(rows)) equals rows: order, keys, key order, values and their types.
//       Symbol keys are ignored, as structured clone ignores them.
//   R2. Input bytes may lie at any offset. What a batch hands out may be views of them, so they
//       must not change while the batch is in use.
//   R3. Damaged bytes make a FormatError, never a wrong read outside them.
//
// Layout: version (1), layout (1), flags (1), zero (1), rows (4), fields (4), odd rows (4), then
// timestamps if flagged, the fields' names, the columns, the odd rows' numbers and values.

import { ByteReader, ByteWriter } from "./bytes.ts";
import {
  readColumn,
  readJoinedColumn,
  readTexts,
  skipColumn,
  writeColumn,
  writeTexts,
  type Column,
  type JoinedTexts,
} from "./column.ts";
import { FormatError } from "./format-error.ts";
import { keepShape } from "./kept-shapes.ts";
import { writeGathered, type ColumnPart } from "./gather.ts";
import type { TextMemory } from "./known-texts.ts";
import { encodeValue, ValueNotSerialisableError } from "./value.ts";

export { hasBit } from "./absent.ts";
export {
  dictionaryColumn,
  nullableColumn,
  type Column,
  type Dictionary,
  type PresentColumn,
} from "./column.ts";

/** Which rows to encode, and what goes with them. */
export interface EncodeRowsOptions {
  /** Positions in `rows`, in the order to encode them; all rows when left out. */
  readonly select?: Int32Array | readonly number[];
  /** How many of `select` (or of `rows`) count; lets `select` be a reused, longer buffer. */
  readonly count?: number;
  /** Event times in milliseconds, one per row of `rows`; the selection applies to them too. */
  readonly timestamps?: Float64Array;
  /** Bytes to leave free in front, for the caller; a multiple of 8. */
  readonly headroom?: number;
}

/** Most rows of one batch. */
export const encodedRowsMax = 2 ** 22;
/** Most fields that get columns of their own; wider rows travel as values. */
export const encodedFieldsMax = 1024;

const formatVersion = 1;
const layout = { values: 0, objects: 1, tuples: 2 } as const;
const flag = { timestamps: 1 } as const;

/**
 * The bytes of a batch of rows. Called once per batch and channel.
 *
 * @throws ValueNotSerialisableError naming the row and the place in it that cannot be carried
 * @example encodeRows(rows, { select: rowsOfChannel, count: rowsOfChannelCount })
 */
export function encodeRows(
  rows: readonly unknown[],
  options: EncodeRowsOptions = {},
): Uint8Array<ArrayBuffer> {
  const count = options.count ?? options.select?.length ?? rows.length;
  if (count > encodedRowsMax) {
    throw new RangeError(`A batch has at most ${encodedRowsMax} rows; split these ${count}`);
  }
  try {
    return encode({ rows, select: options.select, count }, options);
  } catch (error) {
    throw inRow(error, { rows, select: options.select, count });
  }
}

/** A column knows its values but not their rows. Finds the row, now that time does not matter. */
function inRow(error: unknown, { rows, select, count }: Selection): unknown {
  if (!(error instanceof ValueNotSerialisableError)) return error;
  try {
    for (let i = 0; i < count; i++) {
      const position = select?.[i] ?? i;
      encodeValue(rows[position], `rows[${position}]`);
    }
  } catch (inRow) {
    return inRow;
  }
  return error;
}

interface Selection {
  readonly rows: readonly unknown[];
  readonly select: EncodeRowsOptions["select"];
  readonly count: number;
}

/** Appends the bytes that `encodeRows` gives, to a writer that stands at a multiple of `alignment`. */
export function writeRows(out: ByteWriter, rows: readonly unknown[]): void {
  const selection = { rows, select: undefined, count: rows.length };
  try {
    write(out, selection, tableOf(selection), undefined);
  } catch (error) {
    throw inRow(error, selection);
  }
}

function encode(
  selection: Selection,
  { timestamps, headroom = 0 }: EncodeRowsOptions,
): Uint8Array<ArrayBuffer> {
  const table = tableOf(selection);
  const columns = Math.max(1, table?.names.length ?? 0);
  const out = new ByteWriter(headroom + 64 + selection.count * 8 * columns);
  out.room(headroom);
  write(out, selection, table, timestamps);
  return out.finish();
}

function write(
  out: ByteWriter,
  selection: Selection,
  table: Table | undefined,
  timestamps: Float64Array | undefined,
): void {
  const { rows, select, count } = selection;
  const names = table?.names ?? [];
  const odd = table?.odd ?? [];
  writeHeader(out, {
    layout: table?.layout ?? layout.values,
    flags: timestamps === undefined ? 0 : flag.timestamps,
    rows: count,
    fields: names.length,
    odd: odd.length,
  });

  if (timestamps !== undefined) {
    const times = out.typedRoom(Float64Array, count);
    for (let i = 0; i < count; i++) times[i] = timestamps[select?.[i] ?? i]!;
  }
  if (table === undefined) return writeColumn(out, picked(selection));
  if (table.layout === layout.objects) writeTexts(out, names);
  for (const column of table.columns) writeColumn(out, column);
  if (odd.length > 0) {
    out.typedRoom(Uint32Array, odd.length).set(odd);
    writeColumn(
      out,
      odd.map((i) => rows[select?.[i] ?? i]),
    );
  }
}

interface Header {
  readonly layout: number;
  readonly flags: number;
  readonly rows: number;
  readonly fields: number;
  readonly odd: number;
}

function writeHeader(out: ByteWriter, header: Header): void {
  out.u8(formatVersion);
  out.u8(header.layout);
  out.u8(header.flags);
  out.u8(0);
  out.u32(header.rows);
  out.u32(header.fields);
  out.u32(header.odd);
}

/** Whether rows with these fields can be columns: then they may be given to `encodeColumns`. */
export const canBeColumns = (fields: readonly string[]): boolean =>
  fields.length <= encodedFieldsMax && !fields.includes("__proto__");

/**
 * The bytes of a batch of rows that are columns already: of each part the rows it names, one part after
 * the other. Equal, as rows, to `encodeRows` of the rows themselves. Called once per batch and channel.
 *
 * @example encodeColumns(["user"], [{ batch, select: rowsOfChannel, from: 0, count: 17 }])
 */
export function encodeColumns(
  fields: readonly string[],
  parts: readonly ColumnsPart[],
  { timestamps, headroom = 0 }: Pick<EncodeRowsOptions, "timestamps" | "headroom"> = {},
): Uint8Array<ArrayBuffer> {
  const rows = parts.reduce((sum, { count }) => sum + count, 0);
  const out = new ByteWriter(headroom + 256 + rows * 8 * Math.max(1, fields.length));
  out.room(headroom);
  const flags = timestamps === undefined ? 0 : flag.timestamps;
  writeHeader(out, { layout: layout.objects, flags, rows, fields: fields.length, odd: 0 });
  if (timestamps !== undefined) out.typedRoom(Float64Array, rows).set(timestamps);
  writeTexts(out, fields);
  for (const field of fields) {
    const columns = parts.map(({ batch, select, from, count }): ColumnPart => ({
      column: batch.column(field),
      select,
      from,
      count,
    }));
    writeGathered(out, columns, rows);
  }
  return out.finish();
}

/** Rows of a batch that is held in columns. */
export interface ColumnsPart extends Omit<ColumnPart, "column"> {
  readonly batch: { column(field: string): Column };
}

function picked({ rows, select, count }: Selection): readonly unknown[] {
  if (select === undefined && count === rows.length) return rows;
  const values = new Array<unknown>(count);
  for (let i = 0; i < count; i++) values[i] = rows[select === undefined ? i : select[i]!];
  return values;
}

interface Table {
  readonly layout: 1 | 2;
  /** A tuple's fields go by their positions: "0", "1" and so on. */
  readonly names: readonly string[];
  readonly columns: readonly unknown[][];
  /** Places, in the selection, of the rows that are not in the columns. */
  readonly odd: readonly number[];
}

// The first row's shape is nearly always everyone's. When it is not, the shape of the first row
// that differs gets a chance; beyond that the rows are irregular.
function tableOf(selection: Selection): Table | undefined {
  const { rows, select, count } = selection;
  if (count === 0) return undefined;
  const rowAt = (i: number): unknown => rows[select?.[i] ?? i];
  const first = tableOfShape(selection, rowAt(0));
  if (first !== undefined && first.odd.length * 2 <= count) return first;
  const other = first === undefined ? firstShaped(selection) : first.odd[0];
  const second = other === undefined ? undefined : tableOfShape(selection, rowAt(other));
  return second !== undefined && second.odd.length * 2 <= count ? second : undefined;
}

// Few rows are looked at: where shapes are rare, columns of them are not worth having.
function firstShaped({ rows, select, count }: Selection): number | undefined {
  for (let i = 1; i < Math.min(count, 4); i++) {
    const row = rows[select?.[i] ?? i];
    if (isPlain(row) || isTuple(row)) return i;
  }
  return undefined;
}

function tableOfShape({ rows, select, count }: Selection, sample: unknown): Table | undefined {
  const tuples = isTuple(sample);
  if (!tuples && !isPlain(sample)) return undefined;
  const names = Object.keys(sample);
  if (names.length > encodedFieldsMax || names.includes("__proto__")) return undefined;
  if (tuples && names.length !== sample.length) return undefined; // has holes, or is more than an array
  const columns = names.map(() => new Array<unknown>(count));
  const odd: number[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const row = rows[select === undefined ? i : select[i]!];
    const copied = tuples
      ? isTuple(row) && copyElements(row, columns, at)
      : isPlain(row) && copyFields(row, names, columns, at);
    if (copied) at++;
    else odd.push(i);
  }
  for (const column of columns) column.length = at;
  return { layout: tuples ? layout.tuples : layout.objects, names, columns, odd };
}

export function isPlain(row: unknown): row is Record<string, unknown> {
  if (typeof row !== "object" || row === null) return false;
  return Object.getPrototypeOf(row) === Object.prototype;
}

function isTuple(row: unknown): row is readonly unknown[] {
  return Array.isArray(row) && Object.getPrototypeOf(row) === Array.prototype;
}

// Checks the shape and copies the values in one walk: `for…in` reads a property by its place in
// the object's hidden class, where `row[name]` with a changing name would look it up. A row that
// turns out to differ leaves values behind, which the next row overwrites.
export function copyFields(
  row: Record<string, unknown>,
  names: readonly string[],
  columns: readonly unknown[][],
  at: number,
): boolean {
  let field = 0;
  for (const name in row) {
    if (name !== names[field]) return false;
    columns[field]![at] = row[name];
    field++;
  }
  return field === names.length;
}

function copyElements(row: readonly unknown[], columns: readonly unknown[][], at: number): boolean {
  if (row.length !== columns.length) return false;
  for (let i = 0; i < row.length; i++) {
    const value = row[i];
    if (value === undefined && !(i in row)) return false; // a hole
    columns[i]![at] = value;
  }
  return true;
}

/** The rows `encodeRows` was given. @throws FormatError for damaged bytes */
export function decodeRows(bytes: Uint8Array): unknown[] {
  return decodeBatch(bytes).rows();
}

/** Opens a batch: reads its header, and nothing else until asked. @throws FormatError */
export function decodeBatch(bytes: Uint8Array): RecordBatch {
  return new RecordBatch(bytes);
}

/**
 * A batch of records as it lies in its bytes. An operator that knows field names folds columns;
 * one that calls a user's function takes `rows()`. Either pays only for what it asks for.
 */
export class RecordBatch {
  /** Number of rows. */
  readonly length: number;
  /** Event times in milliseconds, one per row, when the batch carries them. */
  readonly timestamps: Float64Array | undefined;
  /** The fields every row has that is not odd; empty for rows that are not objects. */
  readonly names: readonly string[];
  readonly #bytes: Uint8Array;
  readonly #layout: number;
  readonly #starts: number[] = [];
  readonly #columns: (Column | undefined)[] = [];
  readonly #joined: (JoinedTexts | undefined)[] = [];
  readonly #oddAt: Uint32Array;
  #rows: unknown[] | undefined;

  constructor(bytes: Uint8Array) {
    const input = new ByteReader(bytes, "Record batch");
    const version = input.u8();
    if (version !== formatVersion) {
      throw new FormatError("version", `Record batch: expected version 1, found ${version}`);
    }
    const batchLayout = input.u8();
    const flags = input.u8();
    input.u8();
    this.length = input.u32();
    const fields = input.u32();
    const odd = input.u32();
    if (
      batchLayout > layout.tuples ||
      flags > flag.timestamps ||
      this.length > encodedRowsMax ||
      fields > encodedFieldsMax ||
      odd > this.length
    ) {
      const found = `layout ${batchLayout}, ${this.length} rows, ${fields} fields, ${odd} odd rows`;
      throw new FormatError("content", `Record batch: expected a possible header, found ${found}`);
    }

    const timed = (flags & flag.timestamps) !== 0;
    this.timestamps = timed ? input.typed(Float64Array, this.length) : undefined;
    this.names =
      batchLayout === layout.objects
        ? readTexts(input, fields)
        : Array.from({ length: fields }, (_, position) => String(position));
    if (this.names.includes("__proto__")) {
      throw new FormatError(
        "content",
        "Record batch: expected no field named __proto__, found one",
      );
    }
    this.#layout = batchLayout;
    const columns = batchLayout === layout.values ? 1 : fields;
    for (let i = 0; i < columns; i++) this.#starts.push(skipColumn(input));
    this.#oddAt = input.typed(Uint32Array, odd);
    if (odd > 0) this.#starts.push(skipColumn(input));
    this.#bytes = input.all;
  }

  /** The fields of all rows, where all are objects with these and no others; their columns can be used
   * instead of rows. */
  get fields(): readonly string[] | undefined {
    return this.#layout === layout.objects && this.#oddAt.length === 0 ? this.names : undefined;
  }

  /** The rows, made once. They are the caller's to change. */
  rows(): unknown[] {
    this.#rows ??=
      this.#layout === layout.values
        ? Array.from<unknown>(this.#read(0).values)
        : this.#withOddRows(this.#tableRows());
    return this.#rows;
  }

  /**
   * One field of every row, as `rows().map((row) => row[name])` would give it: undefined where a
   * row has no such field. Cheap when every row has the batch's shape.
   * @param memory of the texts of that field in other batches
   */
  column(name: string, memory?: TextMemory): Column {
    const index = this.names.indexOf(name);
    if (index >= 0 && this.#oddAt.length === 0) return this.#read(index, memory);
    const values = this.rows().map((row) =>
      typeof row === "object" && row !== null && Object.hasOwn(row, name)
        ? (row as Record<string, unknown>)[name]
        : undefined,
    );
    return { kind: "any", values };
  }

  /**
   * One row, made anew at each call where it is an object: cheaper than `rows()` where few are wanted.
   * It is the caller's to change only where it was asked for once.
   */
  row(at: number): unknown {
    if (this.#layout === layout.values) return this.#cell(0, at);
    if (this.fields === undefined) return this.rows()[at];
    const row: Record<string, unknown> = {};
    for (let field = 0; field < this.names.length; field++) {
      row[this.names[field]!] = this.#cell(field, at);
    }
    return row;
  }

  /** Of rows that are texts: all of them in one; undefined of others, and of those that repeat. */
  joined(): JoinedTexts | undefined {
    return this.#layout === layout.values ? this.#joinedAt(0) : undefined;
  }

  /** The rows themselves as a column, when they are not objects with fields. */
  values(): Column {
    if (this.#layout === layout.values) return this.#read(0);
    return { kind: "any", values: this.rows() };
  }

  #cell(index: number, at: number): unknown {
    const texts = this.#joinedAt(index);
    if (texts === undefined) return this.#read(index).values[at];
    return texts.text.slice(texts.starts[at], texts.starts[at + 1]);
  }

  #joinedAt(index: number): JoinedTexts | undefined {
    if (!(index in this.#joined)) {
      const input = new ByteReader(this.#bytes, "Record batch", this.#starts[index]);
      this.#joined[index] = readJoinedColumn(input, this.length - this.#oddAt.length);
    }
    return this.#joined[index];
  }

  #read(index: number, memory?: TextMemory): Column {
    const known = this.#columns[index];
    if (known !== undefined) return known;
    const input = new ByteReader(this.#bytes, "Record batch", this.#starts[index]);
    const isOdd = this.#layout !== layout.values && index === this.names.length;
    const odd = this.#oddAt.length;
    const column = readColumn(input, isOdd ? odd : this.length - odd, memory);
    this.#columns[index] = column;
    return column;
  }

  // Column by column: each inner loop stores one name and one type, so it stays monomorphic, and
  // all rows pass through the same hidden classes. Measured against spreading a template and
  // against computed literals per number of fields: as fast for one shape, and not slower by
  // factors when many shapes share the isolate, as those are.
  #tableRows(): Record<string, unknown>[] {
    const count = this.length - this.#oddAt.length;
    const rows = new Array<Record<string, unknown>>(count);
    if (this.#layout === layout.objects) {
      for (let i = 0; i < count; i++) rows[i] = {};
    } else {
      const blank = new Array<unknown>(this.names.length).fill(undefined);
      for (let i = 0; i < count; i++) rows[i] = blank.slice() as unknown as Record<string, unknown>;
    }
    for (let field = 0; field < this.names.length; field++) {
      const name = this.#layout === layout.objects ? this.names[field]! : field;
      store(rows, name, this.#read(field).values);
    }
    return rows;
  }

  #withOddRows(regular: unknown[]): unknown[] {
    if (this.#oddAt.length === 0) return regular;
    const odd = this.#read(this.names.length).values;
    const rows = new Array<unknown>(this.length);
    let oddTaken = 0;
    for (let i = 0; i < this.length; i++) {
      rows[i] = this.#oddAt[oddTaken] === i ? odd[oddTaken++] : regular[i - oddTaken];
    }
    if (oddTaken !== odd.length) {
      const found = `only ${oddTaken} in order`;
      throw new FormatError(
        "content",
        `Record batch: expected ${odd.length} odd rows, found ${found}`,
      );
    }
    return rows;
  }
}

function store(
  rows: Record<string | number, unknown>[],
  name: string | number,
  values: Column["values"],
): void {
  for (let i = 0; i < rows.length; i++) rows[i]![name] = values[i];
}

keepShape(decodeBatch(encodeRows([])));
