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

const selectors = new Map<string, KeySelector>();
const fields = new WeakMap<KeySelector, string>();

/** The function that reads a field of a row; the same one for the same name. */
export function fieldSelector(field: string): KeySelector {
  let selector = selectors.get(field);
  if (selector === undefined) {
    selector = (row: never) => (row as Readonly<Record<string, Key>>)[field]!;
    selectors.set(field, selector);
    fields.set(selector, field);
  }
  return selector;
}

/** The field that a key is, where it is one. */
export const fieldOf = (selector: KeySelector): string | undefined => fields.get(selector);
