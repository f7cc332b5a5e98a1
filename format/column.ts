// One column of a record batch: the values of one field, in the cheapest form that is exact.
//
//   C1. What is read equals what was written, in value and in type: -0, NaN, null and undefined,
//       lone surrogates. What no form carries exactly goes the irregular way (value.ts).
//   C2. Typed arrays are aligned, so reading makes views and copies nothing, but for columns in which
//       some rows have no value: of those only values are stored, and reading puts them at their rows.
//   C3. The text of a column is encoded once and decoded once; strings are cut by UTF-16 lengths.
//
// Layout: form (1 byte), flags (1), zero (2), bytes that follow (4), then
//   if `absent`: which rows have no value (absent.ts; 1 bit each), and if `undefineds`, which of
//     them are undefined; only values follow
//   if `sparse`: the same as written before (1 byte each: a value, null or undefined)
//   if `repeated`: one value follows, which stands for all
//   the values, in their form.

import {
  type Absent,
  absentOf,
  absentValue,
  countBits,
  hasBit,
  noBits,
  readAbsent,
  setBit,
  spread,
  writeAbsent,
} from "./absent.ts";
import type { ByteReader, ByteWriter, TypedArrayType } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import type { KnownTexts, TextMemory } from "./known-texts.ts";
import { decodeValue, encodeValue } from "./value.ts";

/** A string column's distinct values, and for every row the number of its own. */
export interface Dictionary {
  readonly entries: readonly string[];
  readonly codes: Uint8Array | Uint16Array;
  /** The entries by numbers that outlive the batch, where they have any. */
  readonly known?: KnownTexts | undefined;
}

/** A column in which every row has a value of one type. */
export type PresentColumn =
  | { readonly kind: "int32"; readonly values: Int32Array }
  | { readonly kind: "float64"; readonly values: Float64Array }
  | { readonly kind: "boolean"; readonly values: readonly boolean[] }
  | {
      readonly kind: "string";
      readonly values: readonly string[];
      readonly dictionary: Dictionary | undefined;
      /** The values by numbers that outlive the batch, where they have any and there is no dictionary. */
      readonly known?: KnownTexts | undefined;
    };

/** A column of one type in which some rows have null or undefined instead. */
export interface NullableColumn {
  readonly kind: "nullable";
  /** The values of the others, at their rows; what stands at the rows without one means nothing. */
  readonly present: PresentColumn;
  readonly absent: Absent;
  readonly values: readonly unknown[];
}

/**
 * The values of one field, one per row. Numbers are typed arrays over the batch's bytes: read, do
 * not write. A string column with a dictionary lets work be done once per distinct value. What is
 * neither of one type nor absent is `any`, whole columns of null included.
 */
export type Column =
  PresentColumn | NullableColumn | { readonly kind: "any"; readonly values: readonly unknown[] };

/** Fewest rows for which looking for a dictionary is worth it. */
const dictionaryRowsMin = 16;
/** Most entries of a dictionary: codes are at most two bytes. */
export const dictionaryEntriesMax = 65_536;
/** Rows after which a dictionary must have proven itself (a quarter repeats), or is given up. */
const dictionaryTrialRows = 1_024;
/** Rows after which some must have repeated: fewer than so many, and the trial will not end well. */
const dictionaryGlimpse = { rows: 128, repeats: 4 } as const;

// Numbers below are part of the stored format: never renumber.
export const form = {
  int32: 1,
  float64: 2,
  boolean: 3,
  text: 4,
  dictionary: 5,
  bytes: 6,
  null: 7,
  undefined: 8,
  irregular: 9,
  date: 10,
} as const;
const flag = { sparse: 1, repeated: 2, absent: 4, undefineds: 8 } as const;
const flagsMax = 15;
const presence = { value: 0, null: 1, undefined: 2 } as const;
const charset = { utf8: 0, utf16: 1 } as const;

type Form = (typeof form)[keyof typeof form];

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Appends a column to a batch. */
export function writeColumn(out: ByteWriter, values: readonly unknown[]): void {
  const traits = examine(values);
  const repeated = traits.constant && values.length - traits.absent > 1;
  const absent = traits.absent > 0 ? absentOf(values) : undefined;
  const lengthAt = beginColumn(out, traits.form, absent, repeated ? flag.repeated : 0);
  const present =
    absent === undefined ? values : values.filter((value) => value !== null && value !== undefined);
  writeValues(out, repeated ? present.slice(0, 1) : present, traits.form);
  endColumn(out, lengthAt);
}

/**
 * Begins a column of that form; what it answers is for `endColumn`, once the values are written: of the
 * rows that have one.
 */
export function beginColumn(
  out: ByteWriter,
  columnForm: Form,
  absent: Absent | undefined,
  flags = 0,
): number {
  const ofAbsent =
    absent === undefined
      ? 0
      : flag.absent | (absent.undefineds === undefined ? 0 : flag.undefineds);
  out.align();
  out.u8(columnForm);
  out.u8(flags | ofAbsent);
  out.u16(0);
  const lengthAt = out.length;
  out.u32(0);
  if (absent !== undefined) writeAbsent(out, absent);
  return lengthAt;
}

export function endColumn(out: ByteWriter, lengthAt: number): void {
  out.align();
  out.patchU32(lengthAt, out.length - lengthAt - 4);
}

/** Moves past a column and answers where it began. */
export function skipColumn(input: ByteReader): number {
  input.align();
  const start = input.offset;
  input.u32();
  input.bytes(input.u32());
  return start;
}

/** Reads the column at the cursor, which has `rows` rows. */
export function readColumn(input: ByteReader, rows: number, memory?: TextMemory): Column {
  input.align();
  const columnForm = input.u8();
  const flags = input.u8();
  input.u16();
  const end = input.u32() + input.offset;
  const absent = readAbsence(input, rows, flags);
  const present = absent === undefined ? rows : rows - countBits(absent.bits, rows);
  const repeated = (flags & flag.repeated) !== 0;
  const dense = readValues(input, repeated ? 1 : present, columnForm, memory);
  if (flags > flagsMax || input.offset > end) {
    throw new FormatError(
      "content",
      `Expected a column that ends at ${end}, found ${input.offset}`,
    );
  }
  const column = repeated ? repeat(dense, present) : dense;
  return absent === undefined ? column : placed(column, absent, rows);
}

function readAbsence(input: ByteReader, rows: number, flags: number): Absent | undefined {
  if ((flags & flag.absent) !== 0) {
    return readAbsent(input, rows, (flags & flag.undefineds) !== 0);
  }
  if ((flags & flag.sparse) === 0) return undefined;
  const states = input.bytes(rows);
  const bits = noBits(rows);
  const undefineds = noBits(rows);
  for (let row = 0; row < rows; row++) {
    const state = states[row]!;
    if (state === presence.value) continue;
    if (state > presence.undefined) throw bad(`presence ${state}`);
    setBit(bits, row);
    if (state === presence.undefined) setBit(undefineds, row);
  }
  return { bits, undefineds };
}

/** A column of the values of rows that have one, as one of all rows. */
function placed(dense: Column, absent: Absent, rows: number): Column {
  if (dense.kind === "any") return { kind: "any", values: spread(dense.values, absent, rows) };
  if (dense.kind === "nullable") throw bad("rows that are absent twice");
  return nullableColumn(placedValues(dense, absent.bits, rows), absent);
}

function placedValues(dense: PresentColumn, absent: Uint8Array, rows: number): PresentColumn {
  switch (dense.kind) {
    case "int32":
      return { kind: "int32", values: placeNumbers(dense.values, new Int32Array(rows), absent) };
    case "float64":
      return {
        kind: "float64",
        values: placeNumbers(dense.values, new Float64Array(rows), absent),
      };
    case "boolean":
      return { kind: "boolean", values: place(dense.values, false, absent, rows) };
    case "string": {
      const { dictionary, values } = dense;
      if (dictionary === undefined) {
        return { kind: "string", values: place(values, "", absent, rows), dictionary };
      }
      const { entries, codes } = dictionary;
      const own = codes instanceof Uint8Array ? new Uint8Array(rows) : new Uint16Array(rows);
      return dictionaryColumn({ entries, codes: placeNumbers(codes, own, absent) });
    }
  }
}

function placeNumbers<A extends Int32Array | Float64Array | Dictionary["codes"]>(
  dense: ArrayLike<number>,
  to: A,
  absent: Uint8Array,
): A {
  let at = 0;
  for (let row = 0; row < to.length; row++) if (!hasBit(absent, row)) to[row] = dense[at++]!;
  return to;
}

function place<V>(dense: readonly V[], blank: V, absent: Uint8Array, rows: number): V[] {
  const values = new Array<V>(rows);
  let at = 0;
  for (let row = 0; row < rows; row++) values[row] = hasBit(absent, row) ? blank : dense[at++]!;
  return values;
}

/** A column of which some rows have no value; its own values are made once somebody wants them. */
export function nullableColumn(present: PresentColumn, absent: Absent): NullableColumn {
  let values: readonly unknown[] | undefined;
  return {
    kind: "nullable",
    present,
    absent,
    get values() {
      return (values ??= withAbsent(present.values, absent));
    },
  };
}

function withAbsent(present: PresentColumn["values"], absent: Absent): unknown[] {
  const values = new Array<unknown>(present.length);
  for (let row = 0; row < values.length; row++) {
    values[row] = hasBit(absent.bits, row) ? absentValue(absent, row) : present[row];
  }
  return values;
}

interface Traits {
  readonly form: Form;
  /** Rows with null or undefined that the form does not carry itself. */
  readonly absent: number;
  readonly constant: boolean;
}

// One pass that decides everything, so that writing needs no second thoughts.
function examine(values: readonly unknown[]): Traits {
  const rows = values.length;
  let absent = 0;
  let first: unknown;
  let type: string | undefined;
  let constant = true;
  let int32 = true;
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    if (value === null || value === undefined) {
      absent++;
      continue;
    }
    const valueType = typeof value;
    if (type === undefined) {
      first = value;
      type = valueType;
    } else if (valueType !== type) {
      return irregular;
    }
    if (valueType === "number" && int32) int32 = isInt32(value as number);
    if (constant && !Object.is(value, first)) constant = false;
  }
  switch (type) {
    case "number":
      return { form: int32 ? form.int32 : form.float64, absent, constant };
    case "boolean":
      return { form: form.boolean, absent, constant };
    case "string":
      if (constant || rows - absent < dictionaryRowsMin)
        return { form: form.text, absent, constant };
      return { form: form.dictionary, absent, constant };
    case "object":
      if (all(values, Uint8Array.prototype)) return { form: form.bytes, absent, constant: false };
      return all(values, Date.prototype) ? { form: form.date, absent, constant: false } : irregular;
    case undefined:
      if (values.every((value) => value === null)) return allOf(form.null);
      return values.every((value) => value === undefined) ? allOf(form.undefined) : irregular;
    default:
      return irregular;
  }
}

const irregular: Traits = { form: form.irregular, absent: 0, constant: false };

function allOf(columnForm: Form): Traits {
  return { form: columnForm, absent: 0, constant: false };
}

function isInt32(value: number): boolean {
  return (value | 0) === value && (value !== 0 || 1 / value > 0); // not -0
}

function all(values: readonly unknown[], prototype: object): boolean {
  return values.every(
    (value) => value === null || value === undefined || Object.getPrototypeOf(value) === prototype,
  );
}

function repeat(column: Column, rows: number): Column {
  const value = column.values[0];
  switch (column.kind) {
    case "int32":
      return { kind: "int32", values: new Int32Array(rows).fill(value as number) };
    case "float64":
      return { kind: "float64", values: new Float64Array(rows).fill(value as number) };
    case "boolean":
      return { kind: "boolean", values: new Array<boolean>(rows).fill(value as boolean) };
    case "string": {
      const text = value as string;
      return dictionaryColumn({ entries: [text], codes: new Uint8Array(rows) });
    }
    case "nullable":
    case "any":
      throw bad("a repeated irregular value");
  }
}

function writeValues(out: ByteWriter, values: readonly unknown[], columnForm: Form): void {
  switch (columnForm) {
    case form.int32:
      return copyNumbers(values, out.typedRoom(Int32Array, values.length));
    case form.float64:
      return copyNumbers(values, out.typedRoom(Float64Array, values.length));
    case form.boolean: {
      const bits = out.room((values.length + 7) >> 3);
      for (let i = 0; i < values.length; i++) if (values[i] === true) bits[i >> 3]! |= 1 << (i & 7);
      return;
    }
    case form.text:
      return writeTexts(out, values as readonly string[]);
    case form.dictionary:
      return writeDictionary(out, values as readonly string[]);
    case form.bytes:
      return writeByteStrings(out, values as readonly Uint8Array[]);
    case form.date: {
      const times = out.typedRoom(Float64Array, values.length);
      for (let i = 0; i < values.length; i++) times[i] = (values[i] as Date).getTime();
      return;
    }
    case form.null:
    case form.undefined:
      return;
    case form.irregular: {
      const bytes = encodeValue(values);
      out.u32(bytes.length);
      return out.bytes(bytes);
    }
  }
}

function readValues(
  input: ByteReader,
  rows: number,
  columnForm: number,
  memory: TextMemory | undefined,
): Column {
  switch (columnForm as Form) {
    case form.int32:
      return { kind: "int32", values: input.typed(Int32Array, rows) };
    case form.float64:
      return { kind: "float64", values: input.typed(Float64Array, rows) };
    case form.boolean: {
      const bits = input.bytes((rows + 7) >> 3);
      const values = new Array<boolean>(rows);
      for (let i = 0; i < rows; i++) values[i] = ((bits[i >> 3]! >> (i & 7)) & 1) === 1;
      return { kind: "boolean", values };
    }
    case form.text:
      return { kind: "string", values: readTexts(input, rows), dictionary: undefined };
    case form.dictionary:
      return readDictionary(input, rows, memory);
    case form.bytes:
      return { kind: "any", values: readByteStrings(input, rows) };
    case form.date: {
      const times = input.typed(Float64Array, rows);
      return { kind: "any", values: Array.from(times, (time) => new Date(time)) };
    }
    case form.null:
      return { kind: "any", values: new Array<null>(rows).fill(null) };
    case form.undefined:
      return { kind: "any", values: new Array<undefined>(rows).fill(undefined) };
    case form.irregular: {
      const values = decodeValue(input.bytes(input.u32()));
      if (!Array.isArray(values) || values.length !== rows) throw bad("an irregular column", rows);
      return { kind: "any", values };
    }
    default:
      throw bad(`form ${columnForm}`);
  }
}

function copyNumbers(values: readonly unknown[], to: Int32Array | Float64Array): void {
  for (let i = 0; i < values.length; i++) to[i] = values[i] as number;
}

// Texts: charset (1), width of lengths (1), zero (2), bytes of text (4), lengths, text.

/** Appends strings. Their text is joined, so that it is encoded in one go. */
export function writeTexts(out: ByteWriter, texts: readonly string[]): void {
  const text = texts.join("");
  // Joining may pair up surrogates that were alone; cutting by length takes the pair apart again.
  const wellFormed = text.isWellFormed();
  let longest = 0;
  for (let i = 0; i < texts.length; i++) longest = Math.max(longest, texts[i]!.length);
  const width = longest < 0x100 ? 1 : longest < 0x10000 ? 2 : 4;

  out.u8(wellFormed ? charset.utf8 : charset.utf16);
  out.u8(width);
  out.u16(0);
  const sizeAt = out.length;
  out.u32(0);
  const lengths = out.typedRoom(lengthTypes[width], texts.length);
  for (let i = 0; i < texts.length; i++) lengths[i] = texts[i]!.length;
  if (wellFormed) {
    out.patchU32(sizeAt, out.utf8(text));
  } else {
    out.patchU32(sizeAt, 2 * text.length);
    const units = out.typedRoom(Uint16Array, text.length);
    for (let i = 0; i < text.length; i++) units[i] = text.charCodeAt(i);
  }
}

/** Strings as they are stored: in one text, the n-th from `starts[n]` up to `starts[n + 1]`. */
export interface JoinedTexts {
  readonly text: string;
  readonly starts: Uint32Array;
}

/** Reads the column at the cursor without making its strings; undefined where it is not one of texts. */
export function readJoinedColumn(input: ByteReader, rows: number): JoinedTexts | undefined {
  input.align();
  const columnForm = input.u8();
  const flags = input.u8();
  input.u16();
  input.u32();
  if (flags !== 0) return undefined;
  const isText = columnForm === form.text || (columnForm === form.dictionary && input.u32() === 0);
  if (!isText) return undefined;
  const texts = openTexts(input, rows);
  const { lengths } = texts;
  const text = textOf(texts);
  const starts = new Uint32Array(rows + 1);
  let at = 0;
  for (let i = 0; i < rows; i++) starts[i + 1] = at += lengths[i]!;
  if (at !== text.length) throw bad(`text of ${text.length} units`, at);
  return { text, starts };
}

/** Reads `count` strings that `writeTexts` wrote. Long ones are slices of one text: see `ownText`. */
export function readTexts(input: ByteReader, count: number): string[] {
  const texts = openTexts(input, count);
  return cut(textOf(texts), texts.lengths);
}

interface OpenTexts {
  readonly charset: number;
  readonly lengths: Uint8Array | Uint16Array | Uint32Array;
  readonly bytes: Uint8Array | Uint16Array;
}

function openTexts(input: ByteReader, count: number): OpenTexts {
  const textCharset = input.u8();
  const width = input.u8();
  input.u16();
  const size = input.u32();
  if (width !== 1 && width !== 2 && width !== 4) throw bad(`lengths of ${width} bytes`);
  const lengths = input.typed(lengthTypes[width], count);
  if (textCharset !== charset.utf8 && textCharset !== charset.utf16) {
    throw bad(`charset ${textCharset}`);
  }
  const bytes =
    textCharset === charset.utf8 ? input.bytes(size) : input.typed(Uint16Array, size >>> 1);
  return { charset: textCharset, lengths, bytes };
}

function cut(text: string, lengths: OpenTexts["lengths"]): string[] {
  const texts = new Array<string>(lengths.length);
  let at = 0;
  for (let i = 0; i < lengths.length; i++) {
    const end = at + lengths[i]!;
    texts[i] = text.slice(at, end);
    at = end;
  }
  if (at !== text.length) throw bad(`text of ${text.length} units`, at);
  return texts;
}

const lengthTypes: Record<1 | 2 | 4, TypedArrayType<Uint8Array | Uint16Array | Uint32Array>> = {
  1: Uint8Array,
  2: Uint16Array,
  4: Uint32Array,
};

function textOf({ charset: textCharset, bytes }: OpenTexts): string {
  if (textCharset === charset.utf8) {
    try {
      return decoder.decode(bytes);
    } catch (cause) {
      throw new FormatError("content", `Expected ${bytes.length} bytes of UTF-8`, { cause });
    }
  }
  let text = "";
  // A decoder would replace lone surrogates. Chunks keep `apply` within the stack.
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 4096) as unknown as number[]);
  }
  return text;
}

/**
 * A copy of a string that keeps nothing else alive. Engines cut strings without copying, so a key
 * kept in state would otherwise keep the whole text of the batch it came in.
 */
export function ownText(text: string): string {
  // Slices below 13 units are copied by V8 anyway. The concatenation is flattened by `slice`, whose
  // result then refers to that small flat string instead of the batch's.
  return text.length < 13 ? text : ` ${text}`.slice(1);
}

// A dictionary: number of entries (4), their texts, one code per row (1 or 2 bytes). When the
// column turns out not to repeat, the number is 0 and the texts are the rows' own.
function writeDictionary(out: ByteWriter, values: readonly string[]): void {
  const dictionary = dictionaryOf(values);
  out.u32(dictionary?.entries.length ?? 0);
  if (dictionary === undefined) return writeTexts(out, values);
  const { entries, codes } = dictionary;
  writeTexts(out, entries);
  writeCodes(out, codes, entries.length);
}

/** Appends the codes of a dictionary of so many entries. */
export function writeCodes(out: ByteWriter, codes: Dictionary["codes"], entries: number): void {
  out.typedRoom(codeType(entries), codes.length).set(codes);
}

function dictionaryOf(values: readonly string[]): Dictionary | undefined {
  const rows = values.length;
  const entriesMax = Math.min(rows >> 1, dictionaryEntriesMax);
  const codeByText = new Map<string, number>();
  const codes = new Uint16Array(rows);
  for (let i = 0; i < rows; i++) {
    const text = values[i]!;
    let code = codeByText.get(text);
    if (code === undefined) {
      code = codeByText.size;
      if (code >= entriesMax) return undefined;
      codeByText.set(text, code);
    }
    codes[i] = code;
    const { rows: seen, repeats } = dictionaryGlimpse;
    if (i + 1 === seen && codeByText.size > seen - repeats) return undefined;
    const trialOver = i === dictionaryTrialRows;
    if (trialOver && codeByText.size > 0.75 * dictionaryTrialRows) return undefined;
  }
  return { entries: [...codeByText.keys()], codes };
}

function codeType(entries: number): TypedArrayType<Dictionary["codes"]> {
  return entries <= 0x100 ? Uint8Array : Uint16Array;
}

function readDictionary(
  input: ByteReader,
  rows: number,
  memory: TextMemory | undefined,
): Extract<Column, { kind: "string" }> {
  const count = input.u32();
  if (count === 0) return { kind: "string", values: readTexts(input, rows), dictionary: undefined };
  const texts = openTexts(input, count);
  const known =
    texts.charset === charset.utf8
      ? memory?.numbersOf(texts.bytes as Uint8Array, texts.lengths)
      : undefined;
  const entries =
    known === undefined ? cut(textOf(texts), texts.lengths).map(ownText) : textsAt(known);
  const codes = input.typed(codeType(count), rows);
  for (let i = 0; i < rows; i++) if (codes[i]! >= count) throw bad(`code ${codes[i]} of ${count}`);
  return dictionaryColumn({ entries, codes, known });
}

function textsAt({ of, numbers }: KnownTexts): string[] {
  const texts = new Array<string>(numbers.length);
  for (let i = 0; i < numbers.length; i++) texts[i] = of[numbers[i]!]!;
  return texts;
}

/** The texts of a dictionary, one per row; looked up once somebody wants them. */
export function dictionaryColumn(dictionary: Dictionary): Extract<Column, { kind: "string" }> {
  let values: readonly string[] | undefined;
  return {
    kind: "string",
    dictionary,
    get values() {
      return (values ??= texts(dictionary));
    },
  };
}

function texts({ entries, codes }: Dictionary): string[] {
  const values = new Array<string>(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = entries[codes[i]!]!;
  return values;
}

function writeByteStrings(out: ByteWriter, values: readonly Uint8Array[]): void {
  const lengths = out.typedRoom(Uint32Array, values.length);
  for (let i = 0; i < values.length; i++) lengths[i] = values[i]!.length;
  for (const bytes of values) out.bytes(bytes);
}

function readByteStrings(input: ByteReader, rows: number): Uint8Array[] {
  const lengths = input.typed(Uint32Array, rows);
  const values = new Array<Uint8Array>(rows);
  // Copies: the user owns what is in a record, and a view would let one change the batch.
  for (let i = 0; i < rows; i++) values[i] = new Uint8Array(input.bytes(lengths[i]!));
  return values;
}

function bad(found: string, expected?: number): FormatError {
  const wanted = expected === undefined ? "a known column form" : `${expected} values`;
  return new FormatError("content", `Expected ${wanted} in a record batch, found ${found}`);
}
