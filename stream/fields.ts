// Fields by name: keys and aggregates that are known to read one field, so that operators may take it
// from a column instead of making rows.
//   F1. The function of a field reads it as a user's own would; whoever knows the name may read the
//       column instead, where there is one, and must come to the same.

import type { Key } from "../format/key.ts";
import type { KeySelector } from "./graph.ts";

/** The fields of a row that a key can be: those whose every value is one. */
export type KeyField<T> = {
  [Field in keyof T & string]-?: T[Field] extends Key ? Field : never;
}[keyof T & string];

/** Rows that have a number in that field. */
export type WithNumber<Field extends string> = { readonly [F in Field]: number };

/** The key that several fields are: a tuple of what a row has in them. */
export type FieldTuple<T, Fields extends readonly (keyof T)[]> = {
  readonly [At in keyof Fields]: T[Fields[At]];
};

const selectors = new Map<string, KeySelector>();
const fields = new WeakMap<KeySelector, readonly string[]>();

/** The function that reads a field of a row; the same one for the same name. */
export const fieldSelector = (field: string): KeySelector =>
  remembered([field], (row) => row[field]!);

/** The function that reads several fields of a row into a tuple; the same one for the same names. */
export const tupleSelector = (names: readonly string[]): KeySelector =>
  remembered(names, (row) => names.map((name) => row[name]!));

function remembered(
  names: readonly string[],
  read: (row: Readonly<Record<string, Key>>) => Key,
): KeySelector {
  const id = JSON.stringify(names);
  let selector = selectors.get(id);
  if (selector === undefined) {
    selector = read as KeySelector;
    selectors.set(id, selector);
    fields.set(selector, names);
  }
  return selector;
}

/** The fields that a key is made of, where it is; a key of several is a tuple of them. */
export const fieldsOf = (selector: KeySelector): readonly string[] | undefined =>
  fields.get(selector);

/** The field that a key is, where it is one. */
export function fieldOf(selector: KeySelector): string | undefined {
  const names = fieldsOf(selector);
  return names?.length === 1 ? names[0] : undefined;
}
