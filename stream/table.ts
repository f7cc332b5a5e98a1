// Tables: sinks that keep the last row of each key and are read over HTTP. Readers see the rows of
// the last completed checkpoint, unless they ask for the latest.

import type { Key } from "../format/key.ts";
import { GraphError } from "./errors.ts";
import { fieldSelector } from "./fields.ts";
import { checkedName, shown } from "./names.ts";

/** A table as a job refers to it. */
export interface TableSink<in T> {
  readonly kind: "table";
  readonly name: string;
  readonly key: (row: T) => Key;
}

/** The key of a table that names none: the row's `key` field, as `aggregate` writes it. */
export const keyField = fieldSelector("key") as (row: { readonly key: Key }) => Key;

/**
 * Declares a table, to write to with `.to`. A row replaces the one with the same key, which is the
 * row's field `key` unless a `key` function says otherwise.
 *
 * @example
 * interface Flight { origin: string; destination: string }
 * const lastOfRoute = table("last-of-route", {
 *   key: (flight: Flight) => [flight.origin, flight.destination],
 * });
 */
export function table<T extends { readonly key: Key }>(name: string): TableSink<T>;
export function table<T>(name: string, options: { readonly key: (row: T) => Key }): TableSink<T>;
export function table(
  name: string,
  { key = keyField }: { readonly key?: (row: never) => Key } = {},
): TableSink<never> {
  checkedName("table", name);
  if (typeof key === "function") return { kind: "table", name, key };
  throw new GraphError(
    "BAD_ARGUMENT",
    `The key of table "${name}" is ${shown(key)}. Allowed: a function from a row to its key.`,
  );
}
