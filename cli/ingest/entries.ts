// The records of a file, whatever its format, as lines of NDJSON with their places.

/** A record, or why there is none at this place. */
export type Entry =
  | { readonly kind: "record"; readonly json: string; readonly place: number }
  | { readonly kind: "bad"; readonly reason: string; readonly place: number };

/** Entries in the order of the file, several at a time. */
export type Entries = AsyncIterable<readonly Entry[]>;

/** An open file. */
export interface RecordFile {
  readonly entries: Entries;
  /**
   * The first record as the file has it, once entries have been read: the same whatever the options
   * make of it.
   */
  readonly first: () => string | undefined;
  /** What a place counts, from 1. */
  readonly places: "line" | "row";
  /** How much there is to read, and how much has been read: bytes, or rows of a Parquet file. */
  readonly total: number | undefined;
  readonly done: () => number;
}
