// The rows of the `sqlite` backend: every entry of every table of one subtask, versioned by checkpoint.
//   R1. `settled` holds each entry as of some completed checkpoint at or before `floor`, or later, up
//       to `floor`; `fresh` holds what was written since, an entry once per epoch. The newest row of
//       a key counts, those of `fresh` before that of `settled`. No value is a removed entry.
//   R2. A row's `since` is the barrier after which it was written. What checkpoint n holds is
//       therefore the newest rows with `since` below n, and rolling back to n deletes the others.
//   R3. `floor` only rises, and only to completed checkpoints; rows below it may be moved to `settled`
//       at any time, in any order, without a change to what is read.
//   R4. Which checkpoints can be rolled back to is known without reading rows: `floor`, and every
//       barrier passed since.
// A row's key is the table's number, the key group and the key's bytes, so rows lie in the order in
// which segments are written, and a map's entries beside one another.

import type { CheckpointId } from "../../format/ids.ts";
import { keyBytes, keyOfBytes, pairPrefix, type Key } from "../../format/key.ts";
import type { KeyGroup, KeyGroupRange } from "../../format/key-groups.ts";
import { blobOf, type SqlDatabase, sqlBindingsMax, type SqlRow, textOf } from "../../format/sql.ts";
import type { StoredSchema } from "../../format/segment.ts";

/** Whose rows they are. Rows of another range, or of other key groups, are of no use. */
export interface RowsOwner {
  readonly range: KeyGroupRange;
  readonly maxParallelism: number;
}

/** A row to write; no value removes the entry. */
export interface Row {
  readonly k: Uint8Array;
  readonly v: Uint8Array | null;
}

export interface StoredTable {
  readonly id: number;
  readonly uid: string;
  readonly state: string;
  readonly schema: StoredSchema;
}

/** What is known without reading rows. */
interface About {
  readonly owner: RowsOwner;
  readonly floor: number;
}

const schema = [
  "CREATE TABLE IF NOT EXISTS state_settled (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID",
  `CREATE TABLE IF NOT EXISTS state_fresh (
    k BLOB NOT NULL, since INTEGER NOT NULL, v BLOB, PRIMARY KEY (k, since)
  ) WITHOUT ROWID`,
  "CREATE TABLE IF NOT EXISTS state_barriers (checkpoint INTEGER PRIMARY KEY)",
  `CREATE TABLE IF NOT EXISTS state_tables (
    id INTEGER PRIMARY KEY, uid TEXT NOT NULL, state TEXT NOT NULL, schema TEXT NOT NULL
  )`,
  "CREATE TABLE IF NOT EXISTS state_about (id INTEGER PRIMARY KEY CHECK (id = 0), about TEXT NOT NULL)",
];
const tables = ["state_settled", "state_fresh", "state_barriers", "state_tables", "state_about"];

/** Rows of one read of a scan. */
const pageRows = 512;
/** Rows that one step moves to `settled`, at least. */
const settleRowsMin = 4_096;
/** Bytes of a row's key before the key's own. */
const headBytes = 4;

export class StateRows {
  readonly #db: SqlDatabase;
  readonly #owner: RowsOwner;
  #floor: number;
  #since: number;
  /** There may be rows below `floor` in `fresh`. */
  #isUnsettled = false;
  /** There are no rows in `fresh`. */
  #isFreshEmpty = true;

  /** Rolls back to `checkpoint`, which `holds`; or begins with nothing, at that checkpoint. */
  constructor(db: SqlDatabase, owner: RowsOwner, checkpoint: number, isHeld: boolean) {
    this.#db = db;
    this.#owner = owner;
    this.#floor = checkpoint;
    this.#since = checkpoint;
    for (const statement of schema) db.exec(statement);
    if (isHeld) {
      db.exec("DELETE FROM state_fresh WHERE since >= ?", checkpoint);
      db.exec("DELETE FROM state_barriers");
      this.#isUnsettled = true;
      this.settle(Infinity);
    } else {
      for (const table of tables) db.exec(`DELETE FROM ${table}`);
    }
    this.#storeAbout();
  }

  /** Whether a rollback to `checkpoint` is possible. */
  static hold(db: SqlDatabase, { range, maxParallelism }: RowsOwner, checkpoint: number): boolean {
    for (const statement of schema) db.exec(statement);
    const stored = db.exec("SELECT about FROM state_about")[0];
    if (stored === undefined) return false;
    const { owner, floor } = JSON.parse(textOf(stored["about"])) as About;
    if (owner.maxParallelism !== maxParallelism) return false;
    if (owner.range.first !== range.first || owner.range.last !== range.last) return false;
    if (checkpoint === floor) return true;
    const passed = db.exec("SELECT 1 FROM state_barriers WHERE checkpoint = ?", checkpoint);
    return checkpoint > floor && passed.length > 0;
  }

  /** Whether there is anything of them, if only empty tables. */
  static exist(db: SqlDatabase): boolean {
    const query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'state_about'";
    return db.exec(query).length > 0;
  }

  /** Leaves nothing behind. */
  static drop(db: SqlDatabase): void {
    for (const table of tables) db.exec(`DROP TABLE IF EXISTS ${table}`);
  }

  // Tables.

  tables(): StoredTable[] {
    return this.#db.exec("SELECT id, uid, state, schema FROM state_tables").map((row) => ({
      id: Number(row["id"]),
      uid: textOf(row["uid"]),
      state: textOf(row["state"]),
      schema: JSON.parse(textOf(row["schema"])) as StoredSchema,
    }));
  }

  /** Remembers a table under its number. */
  putTable({ id, uid, state, schema: stored }: StoredTable): void {
    const text = JSON.stringify(stored);
    this.#db.exec("INSERT OR REPLACE INTO state_tables VALUES (?, ?, ?, ?)", id, uid, state, text);
  }

  /** Entries of a table. Looks at all of its rows. */
  count(table: number): number {
    const [from, to] = boundsOf(table);
    if (this.#isFreshEmpty) {
      const query = "SELECT count(*) AS n FROM state_settled WHERE k >= ? AND k < ?";
      return Number(this.#db.exec(query, from, to)[0]!["n"]);
    }
    let entries = 0;
    for (const _ of this.scan(from, to)) entries++;
    return entries;
  }

  // Entries.

  get(k: Uint8Array): Uint8Array | undefined {
    const fresh = this.#isFreshEmpty
      ? undefined
      : this.#db.exec("SELECT v FROM state_fresh WHERE k = ? ORDER BY since DESC LIMIT 1", k)[0];
    const row = fresh ?? this.#db.exec("SELECT v FROM state_settled WHERE k = ?", k)[0];
    return row && valueOf(row);
  }

  /** What `get` answers for each of these, with few statements. */
  getAll(keys: readonly Uint8Array[]): (Uint8Array | undefined)[] {
    const found = new Array<Uint8Array | undefined>(keys.length);
    let left: readonly number[] = [...keys.keys()];
    if (!this.#isFreshEmpty) {
      const sinceOf = new Map<number, number>();
      this.#join("state_fresh", "at, v, since", keys, left, (at, row) => {
        const since = Number(row["since"]);
        if (since < (sinceOf.get(at) ?? -Infinity)) return;
        sinceOf.set(at, since);
        found[at] = valueOf(row);
      });
      left = left.filter((at) => !sinceOf.has(at));
    }
    this.#join("state_settled", "at, v", keys, left, (at, row) => {
      found[at] = valueOf(row);
    });
    return found;
  }

  /** The rows of a table that have these keys, each with the position of its key in `keys`. */
  #join(
    table: "state_fresh" | "state_settled",
    columns: string,
    keys: readonly Uint8Array[],
    wanted: readonly number[],
    take: (at: number, row: SqlRow) => void,
  ): void {
    let size = 2 ** Math.floor(Math.log2(sqlBindingsMax));
    for (let from = 0; from < wanted.length; from += size) {
      while (size > wanted.length - from) size /= 2;
      const chunk = wanted.slice(from, from + size);
      const values = chunk.map((_, at) => `(${at}, ?)`).join(", ");
      // CROSS: the keys are gone through, and each is looked up.
      const query = `WITH wanted (at, k) AS (VALUES ${values})
        SELECT ${columns} FROM wanted CROSS JOIN ${table} AS held ON held.k = wanted.k`;
      for (const row of this.#db.exec(query, ...chunk.map((at) => keys[at]!))) {
        take(chunk[Number(row["at"])]!, row);
      }
    }
  }

  /** Writes rows of the running epoch, all or none. */
  write(rows: readonly Row[]): void {
    if (rows.length === 0) return;
    this.#db.transaction(() => {
      this.#isFreshEmpty = false;
      this.#insert(
        "state_fresh",
        rows.filter(({ k, v }) => v !== null || this.#isRemovalNews(k)),
      );
    });
    if (this.#isUnsettled) this.settle(Math.max(settleRowsMin, 2 * rows.length));
  }

  /** Writes rows that a completed checkpoint holds. */
  restore(rows: readonly Row[]): void {
    this.#insert("state_settled", rows);
    for (const { k, v } of rows) {
      if (v === null) this.#db.exec("DELETE FROM state_settled WHERE k = ? AND v IS NULL", k);
    }
  }

  /** Inserts rows, the latter where a key comes twice; those of `fresh` are of the running epoch. */
  #insert(table: "state_fresh" | "state_settled", rows: readonly Row[]): void {
    const since = this.#since;
    const [short, long] = partition(rows, isPackable);
    // In order: what is written next to one another is in the same pages.
    short.sort((a, b) => compare(a.k, b.k));
    const isFresh = table === "state_fresh";
    for (const { blob, places } of packs(short)) {
      this.#db.exec(insertPacked[table], blob, places, ...(isFresh ? [since] : []));
    }
    const one = isFresh
      ? "INSERT OR REPLACE INTO state_fresh (k, v, since) VALUES (?, ?, ?)"
      : "INSERT OR REPLACE INTO state_settled (k, v) VALUES (?, ?)";
    for (const { k, v } of long) this.#db.exec(one, k, v, ...(isFresh ? [since] : []));
  }

  /** Entries whose keys lie in [from, to), in order; later writes may show. */
  *scan(from: Uint8Array, to: Uint8Array): Generator<{ k: Uint8Array; v: Uint8Array }> {
    // Merged here: SQLite sorts the union of both anew for every page.
    const settled = this.#pages("SELECT k, v FROM state_settled WHERE k > ? AND k < ?", from, to);
    const fresh = this.#newest(from, to);
    let older = settled.next();
    let newer = fresh.next();
    while (older.done !== true || newer.done !== true) {
      const order =
        older.done === true ? 1 : newer.done === true ? -1 : compare(older.value.k, newer.value.k);
      const row = order < 0 ? older.value! : newer.value!;
      if (order <= 0) older = settled.next();
      if (order >= 0) newer = fresh.next();
      const { k, v } = row;
      if (v !== null) yield { k, v };
    }
  }

  /** The newest row of each key in `fresh`. */
  *#newest(from: Uint8Array, to: Uint8Array): Generator<Row, undefined> {
    if (this.#isFreshEmpty) return undefined;
    // The bare column is that of the row with the maximum: SQLite's documentation of aggregates.
    const query =
      "SELECT k, max(since) AS since, v FROM state_fresh WHERE k > ? AND k < ? GROUP BY k";
    return yield* this.#pages(query, from, to);
  }

  /** The rows that a query with bounds for keys gives, a page at a time. */
  *#pages(query: string, from: Uint8Array, to: Uint8Array): Generator<Row, undefined> {
    const ordered = `${query} ORDER BY k LIMIT ${pageRows}`;
    let after = from;
    for (let page: SqlRow[] | undefined; page === undefined || page.length === pageRows;) {
      page = this.#db.exec(ordered, after, to);
      for (const row of page) {
        const v = row["v"];
        after = blobOf(row["k"]);
        yield { k: after, v: v === null || v === undefined ? null : blobOf(v) };
      }
    }
    return undefined;
  }

  /** What the running epoch wrote of a table, in order. */
  *written(table: number): Generator<Row> {
    const query = `SELECT k, v FROM state_fresh WHERE k > ? AND k < ? AND since = ${this.#since}`;
    yield* this.#pages(query, ...boundsOf(table));
  }

  // Checkpoints.

  /** What was written belongs to that checkpoint; what follows does not. */
  sealed(checkpoint: CheckpointId): void {
    if (checkpoint <= this.#since) {
      throw new Error(`R2: barrier ${checkpoint} came after ${this.#since}.`);
    }
    this.#db.exec("INSERT INTO state_barriers VALUES (?)", checkpoint);
    this.#since = checkpoint;
  }

  completed(checkpoint: CheckpointId): void {
    if (checkpoint <= this.#floor || checkpoint > this.#since) return;
    this.#floor = checkpoint;
    this.#storeAbout();
    this.#db.exec("DELETE FROM state_barriers WHERE checkpoint <= ?", checkpoint);
    this.#isUnsettled = !this.#isFreshEmpty;
    if (this.#isUnsettled) this.settle(settleRowsMin);
  }

  /** Moves up to so many rows to `settled` (R3). */
  settle(rows: number): void {
    const floor = this.#floor;
    const end = Number.isFinite(rows)
      ? this.#db.exec(
          "SELECT k FROM state_fresh WHERE since < ? ORDER BY k LIMIT 1 OFFSET ?",
          floor,
          rows,
        )[0]
      : undefined;
    const [where, bindings] =
      end === undefined
        ? (["since < ?", [floor]] as const)
        : (["since < ? AND k <= ?", [floor, blobOf(end["k"])]] as const);
    this.#db.transaction(() => {
      this.#db.exec(
        `INSERT OR REPLACE INTO state_settled SELECT k, v FROM state_fresh WHERE ${where}
         ORDER BY k, since`,
        ...bindings,
      );
      this.#db.exec(
        `DELETE FROM state_settled WHERE v IS NULL AND k IN (
           SELECT k FROM state_fresh WHERE ${where} AND v IS NULL)`,
        ...bindings,
      );
      this.#db.exec(`DELETE FROM state_fresh WHERE ${where}`, ...bindings);
    });
    this.#isUnsettled = end !== undefined;
    this.#isFreshEmpty = this.#db.exec("SELECT 1 FROM state_fresh LIMIT 1").length === 0;
  }

  #storeAbout(): void {
    const about: About = { owner: this.#owner, floor: this.#floor };
    this.#db.exec("INSERT OR REPLACE INTO state_about VALUES (0, ?)", JSON.stringify(about));
  }

  /** Whether an earlier epoch may hold the entry. Where none does, its rows of this one are deleted. */
  #isRemovalNews(k: Uint8Array): boolean {
    const query = `SELECT 1 FROM state_settled WHERE k = ?1
      UNION ALL SELECT 1 FROM state_fresh WHERE k = ?1 AND since < ?2 LIMIT 1`;
    if (this.#db.exec(query, k, this.#since).length > 0) return true;
    this.#db.exec("DELETE FROM state_fresh WHERE k = ?", k);
    return false;
  }
}

/** Nothing where the entry was removed. */
function valueOf({ v }: SqlRow): Uint8Array | undefined {
  return v === undefined || v === null ? undefined : blobOf(v);
}

/** The key of an entry's row. */
export function rowKey(table: number, group: KeyGroup, key: Key): Uint8Array {
  return withHead(table, group, keyBytes(key));
}

/** The rows of all pairs that begin with `first`. */
export function pairBounds(table: number, group: KeyGroup, first: Key): [Uint8Array, Uint8Array] {
  const from = withHead(table, group, pairPrefix(first));
  return [from, successor(from)];
}

/** The rows of a table. */
export function boundsOf(table: number): [Uint8Array, Uint8Array] {
  const from = new Uint8Array([table >> 8, table & 255]);
  return [from, successor(from)];
}

export const groupOfRow = (k: Uint8Array): KeyGroup => ((k[2]! << 8) | k[3]!) as KeyGroup;

export const keyOfRow = (k: Uint8Array): Key => keyOfBytes(k.subarray(headBytes));

function withHead(table: number, group: KeyGroup, key: Uint8Array): Uint8Array {
  const k = new Uint8Array(headBytes + key.length);
  k[0] = table >> 8;
  k[1] = table & 255;
  k[2] = group >> 8;
  k[3] = group & 255;
  k.set(key, headBytes);
  return k;
}

/** The first bytes after all that begin with `prefix`. */
function successor(prefix: Uint8Array): Uint8Array {
  let last = prefix.length - 1;
  while (last > 0 && prefix[last] === 255) last--;
  const after = prefix.slice(0, last + 1);
  after[last]!++;
  return after;
}

// Many rows of one statement: keys and values one after the other in one BLOB, and an array in JSON of
// where each row's are. Bindings cost more than what is written, one by one.

/** A place is a number that JSON carries exactly: the position (21 bits), the bytes of the key (12), and
 * the bytes of the value and one more, or 0 for none (16). */
const place = {
  keyBytesMax: 2 ** 12 - 1,
  valueBytesMax: 2 ** 16 - 2,
  blobBytesMax: 2 ** 20,
} as const;
const packedRows = `substr(?1, value >> 28, (value >> 16) & 4095) AS k,
    CASE value & 65535 WHEN 0 THEN NULL
    ELSE substr(?1, (value >> 28) + ((value >> 16) & 4095), (value & 65535) - 1) END AS v`;
const insertPacked = {
  state_fresh: `INSERT OR REPLACE INTO state_fresh (k, v, since)
    SELECT ${packedRows}, ?3 FROM json_each(?2)`,
  state_settled: `INSERT OR REPLACE INTO state_settled (k, v)
    SELECT ${packedRows} FROM json_each(?2)`,
} as const;

const isPackable = ({ k, v }: Row): boolean =>
  k.length <= place.keyBytesMax && (v?.length ?? 0) <= place.valueBytesMax;

/** Rows in as many packs as they take. */
function* packs(rows: readonly Row[]): Generator<{ blob: Uint8Array; places: string }> {
  for (let from = 0; from < rows.length;) {
    let end = from;
    let bytes = 0;
    for (; end < rows.length; end++) {
      const { k, v } = rows[end]!;
      const more = k.length + (v?.length ?? 0);
      if (bytes + more > place.blobBytesMax) break;
      bytes += more;
    }
    const blob = new Uint8Array(bytes);
    const places: number[] = [];
    let at = 0;
    for (; from < end; from++) {
      const { k, v } = rows[from]!;
      // SQLite counts from 1.
      places.push((at + 1) * 2 ** 28 + k.length * 2 ** 16 + (v === null ? 0 : v.length + 1));
      blob.set(k, at);
      at += k.length;
      if (v === null) continue;
      blob.set(v, at);
      at += v.length;
    }
    yield { blob, places: JSON.stringify(places) };
  }
}

function partition<T>(all: readonly T[], belongs: (one: T) => boolean): [T[], T[]] {
  const [first, second]: [T[], T[]] = [[], []];
  for (const one of all) (belongs(one) ? first : second).push(one);
  return [first, second];
}

/** As SQLite compares BLOBs. */
function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
