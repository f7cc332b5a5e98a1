// The one way in which a core reaches the SQLite of its Durable Object: synchronous, two methods.

export type SqlValue = string | number | null | ArrayBuffer | Uint8Array;
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** Bindings of one statement, at most: Cloudflare's limit (checked 2026-11-22). */
export const sqlBindingsMax = 100;

/** One SQLite database. Reads see earlier writes; `transaction` keeps all of its writes or none. */
export interface SqlDatabase {
  exec(query: string, ...bindings: SqlValue[]): SqlRow[];
  transaction<T>(work: () => T): T;
}

/** A text of a row. */
export function textOf(value: SqlValue | undefined): string {
  if (typeof value === "string") return value;
  throw new TypeError(`Expected a text, found ${value === null ? "NULL" : typeof value}.`);
}

/** A BLOB as the runtime at hand gives it. */
export function blobOf(value: SqlValue | undefined): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw new TypeError(`Expected a BLOB, found ${value === null ? "NULL" : typeof value}.`);
}
