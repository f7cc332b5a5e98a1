// Generated rows: a source that makes its rows itself, each from its index, so that any row can be
// made again by anybody. For load, for demonstrations and for tests.

import { dictionaryEntriesMax } from "../format/column.ts";
import { GraphError } from "./errors.ts";
import { isAsync, shown } from "./names.ts";

declare const rowType: unique symbol;

/** A generator as a job refers to it. */
export interface GeneratorSource<out T> {
  readonly kind: "generator";
  /** Rows there are; `Infinity` where there is no end. */
  readonly rows: number;
  /** Of all subtasks together; absent: as fast as the job takes them. */
  readonly rowsPerSecond?: number;
  readonly make: RowMaker | ColumnMaker;
  readonly [rowType]?: T;
}

/** Makes one row at a time. */
export interface RowMaker {
  readonly kind: "rows";
  row(this: void, index: number): unknown;
}

/** Makes a run of rows at a time, as columns. */
export interface ColumnMaker {
  readonly kind: "columns";
  readonly fields: GeneratedFields;
  fill(this: void, columns: never, first: number): void;
}

/** What `generate` and `generateColumns` may be given. */
export interface GenerateOptions {
  /** How many rows there are, a whole number from 0 on; without it there is no end. */
  readonly rows?: number;
  /** Rows a second, of all subtasks together; without it as many as the job takes. */
  readonly rowsPerSecond?: number;
}

/**
 * The fields of generated columns: numbers of 64 or 32 bits, or texts out of a list, of which the
 * column then holds the positions.
 */
export interface GeneratedFields {
  readonly [field: string]: "float64" | "int32" | readonly string[];
}

/** What a function fills: an array per field, all of the same length. */
export type ColumnsOf<F extends GeneratedFields> = {
  readonly [Field in keyof F]: F[Field] extends "float64"
    ? Float64Array
    : F[Field] extends "int32"
      ? Int32Array
      : Uint16Array;
};

/** The rows of generated columns. */
export type GeneratedRow<F extends GeneratedFields> = {
  readonly [Field in keyof F]: F[Field] extends readonly (infer Text)[] ? Text : number;
};

/**
 * A source of rows that a function makes from their index, from 0 on. The function must give the same
 * row for the same index whenever and wherever it is called: rows are made again after a failure, and
 * by another subtask after a change of parallelism. A snapshot holds how far it has come, and every
 * row is there exactly once. With `rows` it has an end: a job of which all sources have one finishes.
 *
 * @example env.from(generate((index) => ({ user: `u${index % 100}`, n: index }), { rows: 1_000_000 }), { uid: "in" })
 */
export function generate<T>(
  row: (index: number) => T,
  options: GenerateOptions = {},
): GeneratorSource<T> {
  requireFunction("generate", row);
  return { kind: "generator", ...checkedOptions(options), make: { kind: "rows", row } };
}

/**
 * The same with columns instead of rows, for speed: `fill` writes the fields of as many rows as its
 * arrays are long, the first of which has the index `first`. What it writes may depend on the index
 * alone, never on where a run begins or how long it is. A field of texts is written as positions in its
 * list.
 *
 * @example
 * generateColumns(
 *   { user: ["ann", "bob"], amount: "float64" },
 *   ({ user, amount }, first) => {
 *     for (let i = 0; i < user.length; i++) {
 *       user[i] = (first + i) % 2;
 *       amount[i] = (first + i) / 100;
 *     }
 *   },
 *   { rows: 1_000_000 },
 * );
 */
export function generateColumns<const F extends GeneratedFields>(
  fields: F,
  fill: (columns: ColumnsOf<F>, first: number) => void,
  options: GenerateOptions = {},
): GeneratorSource<GeneratedRow<F>> {
  requireFunction("generateColumns", fill);
  const make = { kind: "columns", fields: checkedFields(fields), fill } as const;
  return { kind: "generator", ...checkedOptions(options), make };
}

function requireFunction(method: string, fn: unknown): void {
  if (typeof fn === "function" && !isAsync(fn)) return;
  const allowed = "a function that returns its result, not a promise";
  throw new GraphError("BAD_ARGUMENT", `${method} was given ${shown(fn)}. Allowed: ${allowed}.`);
}

function checkedOptions({
  rows = Infinity,
  rowsPerSecond,
}: GenerateOptions): Pick<GeneratorSource<unknown>, "rows" | "rowsPerSecond"> {
  if (rows !== Infinity && !(Number.isSafeInteger(rows) && rows >= 0)) {
    const allowed = "a whole number from 0 on, or nothing where there is no end";
    throw new GraphError(
      "BAD_ARGUMENT",
      `A generator has ${shown(rows)} rows. Allowed: ${allowed}.`,
    );
  }
  if (rowsPerSecond === undefined) return { rows };
  if (typeof rowsPerSecond !== "number" || !(rowsPerSecond > 0 && rowsPerSecond < Infinity)) {
    throw new GraphError(
      "BAD_ARGUMENT",
      `A generator has the rowsPerSecond ${shown(rowsPerSecond)}. Allowed: a number above 0, or ` +
        `nothing for as many as the job takes.`,
    );
  }
  return { rows, rowsPerSecond };
}

function checkedFields(fields: GeneratedFields): GeneratedFields {
  const refuse = (found: string): GraphError =>
    new GraphError(
      "BAD_ARGUMENT",
      `generateColumns ${found}. Allowed: at least one field, each "float64", "int32" or a list of 1 ` +
        `to ${dictionaryEntriesMax} different texts, such as { user: ["ann", "bob"], amount: "float64" }.`,
    );
  if (typeof fields !== "object" || fields === null) throw refuse(`was given ${shown(fields)}`);
  const entries: [string, unknown][] = Object.entries(fields);
  if (entries.length === 0) throw refuse("has no field");
  const checked = entries.map(([field, type]): [string, GeneratedFields[string]] => {
    if (type === "float64" || type === "int32") return [field, type];
    const isList =
      Array.isArray(type) &&
      type.length > 0 &&
      type.length <= dictionaryEntriesMax &&
      type.every((text) => typeof text === "string") &&
      new Set(type).size === type.length;
    if (!isList || field === "__proto__") throw refuse(`has ${shown(type)} as field "${field}"`);
    return [field, [...(type as string[])]];
  });
  return Object.fromEntries(checked);
}
