// What an aggregate is made of: a field of the rows, or what a function makes of each.

import { GraphError } from "./errors.ts";
import { shown } from "./names.ts";

/** Rows that have that field. */
export type WithField<Field extends string, V> = { readonly [F in Field]: V };

/** The fields of a row that hold such a value, also those that it may lack where `V` has undefined. */
export type FieldOf<T, V> = {
  [Field in keyof T & string]-?: T[Field] extends V ? Field : never;
}[keyof T & string];

/** What reads the value. @throws GraphError for what is neither a field nor a function */
export function valueReader(
  aggregate: string,
  value: ((row: never) => unknown) | string,
): (row: never) => unknown {
  if (typeof value === "function") return value;
  if (typeof value === "string") {
    return (row: never) => (row as Readonly<Record<string, unknown>>)[value];
  }
  throw new GraphError(
    "BAD_ARGUMENT",
    `${aggregate} was given ${shown(value)}. Allowed: the name of a field, or a function of a row.`,
  );
}

/** A whole number in a range. @throws GraphError for anything else */
export function wholeNumber(what: string, given: unknown, least: number, most: number): number {
  if (typeof given === "number" && Number.isInteger(given) && given >= least && given <= most) {
    return given;
  }
  throw new GraphError(
    "BAD_ARGUMENT",
    `${what} is ${shown(given)}. Allowed: a whole number from ${least} to ${most}.`,
  );
}
