// Reads blocks of sorted runs, many with one statement and as one BLOB: a row and a buffer for each would
// take the runtime as long again as SQLite takes to find it.
//   K1. What is given is exactly what was asked for: a block that is not there is left out.

import { blobOf, type SqlDatabase, textOf } from "../../format/sql.ts";
import { blockBytesMax } from "./run-block.ts";

/** Blocks of one statement, at most: together half of what a BLOB may have. */
const blocksRead = 1_024;

/** These blocks. Sorts `ids`: blocks beside one another share pages. */
export function blocksOf(db: SqlDatabase, ids: number[]): ReadonlyMap<number, Uint8Array> {
  const blocks = new Map<number, Uint8Array>();
  if (ids.length > 1) {
    ids.sort((a, b) => a - b);
    for (let from = 0; from < ids.length; from += blocksRead) {
      const chunk = ids.slice(from, from + blocksRead);
      // CROSS: the ids are gone through, and each is looked up.
      const held =
        "json_each(?) AS wanted CROSS JOIN state_blocks AS held ON held.id = wanted.value";
      readTogether(db, held, [JSON.stringify(chunk)], blocks);
    }
  }
  if (blocks.size < ids.length) readOneByOne(db, ids, blocks);
  return blocks;
}

/** So many blocks from that one on, in their order. */
export function blocksFrom(db: SqlDatabase, first: number, count: number): Uint8Array[] {
  const blocks = new Map<number, Uint8Array>();
  const held = "(SELECT id, rows FROM state_blocks WHERE id >= ? AND id < ? ORDER BY id) AS held";
  readTogether(db, held, [first, first + count], blocks);
  const ids = Array.from({ length: count }, (_, at) => first + at);
  if (blocks.size < count) readOneByOne(db, ids, blocks);
  return ids.flatMap((id) => blocks.get(id) ?? []);
}

/** Those that have no more bytes than most, one behind the other. */
function readTogether(
  db: SqlDatabase,
  held: string,
  bindings: readonly (string | number)[],
  into: Map<number, Uint8Array>,
): void {
  const query = `SELECT group_concat(held.id) AS ids, group_concat(length(held.rows)) AS sizes,
      CAST(group_concat(held.rows, '') AS BLOB) AS rows
    FROM ${held} WHERE length(held.rows) <= ${blockBytesMax}`;
  const [row] = db.exec(query, ...bindings);
  if (row === undefined || row["ids"] === null) return;
  const bytes = blobOf(row["rows"]);
  const sizes = textOf(row["sizes"]).split(",");
  let at = 0;
  for (const [place, id] of textOf(row["ids"]).split(",").entries()) {
    const end = at + Number(sizes[place]);
    into.set(Number(id), bytes.subarray(at, end));
    at = end;
  }
  if (at !== bytes.length) throw new Error(`K1: ${at} bytes of blocks are ${bytes.length}.`);
}

/** Those that were not read: one row may have as many bytes as a value. */
function readOneByOne(
  db: SqlDatabase,
  ids: readonly number[],
  into: Map<number, Uint8Array>,
): void {
  for (const id of ids) {
    if (into.has(id)) continue;
    const [row] = db.exec("SELECT rows FROM state_blocks WHERE id = ?", id);
    if (row !== undefined) into.set(id, blobOf(row["rows"]));
  }
}
