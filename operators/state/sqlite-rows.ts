// The rows of the `sqlite` backend: every entry of every table of one subtask, versioned by checkpoint, as
// sorted runs: a log-structured merge tree per table.
//   R1. Of the rows that a table's runs have of a key, that of the newest run counts. No value is a
//       removed entry.
//   R2. A run's `since` is the barrier after which its rows were written, the latest where there are
//       several. What checkpoint n holds is therefore the runs with `since` below n, and rolling back
//       to n drops the others.
//   R3. `floor` only rises, and only to completed checkpoints. Runs are merged with runs of the same
//       epoch, or where all are below `floor`: no checkpoint that can be rolled back to comes between.
//   R4. Which checkpoints can be rolled back to is known without reading rows: `floor`, and every
//       barrier passed since; so is how many entries each table had then.
//   R5. Runs of before and after the last full freeze of a table are not merged, so that what was
//       written since is known; until there is one in this life, all count as one.
//   R6. What is kept of a table is its runs of that moment: they never change, and as long as one is kept
//       its blocks stay, whatever it was merged into.

import type { CheckpointId } from "../../format/ids.ts";
import type { KeyGroupRange } from "../../format/key-groups.ts";
import { MiB } from "../../format/limits.ts";
import { type SqlDatabase, textOf } from "../../format/sql.ts";
import type { StoredSchema } from "../../format/segment.ts";
import { hashOf } from "./key-filter.ts";
import { compareBytes, type Found, type Row } from "./run-block.ts";
import { findAll, MergedRuns } from "./run-cursor.ts";
import { inOrder } from "./row-key.ts";
import { RunMerge, toMerge } from "./run-merge.ts";
import {
  type BlockIds,
  dropPart,
  runSchema,
  runTables,
  RunWriter,
  SortedRun,
} from "./sorted-run.ts";

/** Whose rows they are. Rows of another range, or of other key groups, are of no use. */
export interface RowsOwner {
  readonly range: KeyGroupRange;
  readonly maxParallelism: number;
}

export interface StoredTable {
  readonly id: number;
  readonly uid: string;
  readonly state: string;
  readonly schema: StoredSchema;
}

/** Entries of each table, by its number. */
type Counts = Readonly<Record<string, number>>;

/** What is known without reading rows. */
interface About {
  /** Of the layout of the tables below. */
  readonly version: number;
  readonly owner: RowsOwner;
  readonly floor: number;
  readonly counts: Counts;
  /** Not all of it is there yet. */
  readonly isLoading?: true;
  /** At `floor`, of tables that were migrated since, by their numbers. */
  readonly schemas?: Readonly<Record<string, StoredSchema>>;
}

const version = 3;
const schema = [
  ...runSchema,
  "CREATE TABLE IF NOT EXISTS state_barriers (checkpoint INTEGER PRIMARY KEY, counts TEXT NOT NULL)",
  `CREATE TABLE IF NOT EXISTS state_tables (
    id INTEGER PRIMARY KEY, uid TEXT NOT NULL, state TEXT NOT NULL, schema TEXT NOT NULL
  )`,
  "CREATE TABLE IF NOT EXISTS state_about (id INTEGER PRIMARY KEY CHECK (id = 0), about TEXT NOT NULL)",
];
const tables = [...runTables, "state_barriers", "state_tables", "state_about"];

/** Rows of one read of a scan. */
const pageRows = 1_024;
/**
 * Rows that are merged for each that is written, and beside them in each turn, while there are any to merge.
 * Every row is merged two or three times in its life; the more of it is put off, the less a merge of
 * millions of rows is felt.
 */
const mergedPerRow = 3;
const mergedPerTurn = 250;
/** Runs of a table, from which on merges are not put off. */
const runsMany = 40;
/** Rows of one step of a merge, at most: it writes a number of blocks, and large rows fill them sooner. */
const stepRows = 2_500;
/** Steps that are made at one time, at most, and where there are many runs. */
const stepsMax = 8;
const stepsMaxBehind = 32;
/** Of the rows of a table, before all others: those that a checkpoint held which is restored. */
const restoredSince = -1;

/** Rows of a table as they were at one moment, to be read at once, or later where they are kept (R6). */
export interface FrozenRows extends Iterable<Row> {
  /** Bytes of their blocks. */
  readonly bytes: number;
  /** Has them stay until what is answered is called, once. */
  keep(): () => void;
}

/** The runs of one table. */
class TableRuns {
  readonly id: number;
  /** Its keys are pairs. */
  readonly isNested: boolean;
  /** From the oldest to the newest. */
  runs: SortedRun[] = [];
  /** Whether it is known what was written since the last full freeze. */
  isFrozenWhole = false;

  constructor({ id, schema: { holds } }: StoredTable) {
    this.id = id;
    this.isNested = holds === "map";
  }
}

export class StateRows {
  readonly #db: SqlDatabase;
  readonly #owner: RowsOwner;
  readonly #tables = new Map<number, TableRuns>();
  readonly #blocks: BlockIds;
  #merges: { readonly table: TableRuns; readonly merge: RunMerge }[] = [];
  /** Runs that do not count any more. */
  #dropped: number[];
  /** How many want each run to stay (R6). */
  readonly #kept = new Map<number, number>();
  #nextRun: number;
  #nextPlace: number;
  #floor: number;
  #since: number;
  /** At `floor`. */
  #counts: Record<string, number> = {};
  /** Rows that are to be merged for what was written; less than none where more was done. */
  #owed = 0;
  /** Rows of a step, as the last ones were. */
  #stepRows = stepRows;
  #bytes = 0;
  #isLoading = false;
  /** At `floor`, of tables that were migrated since. */
  #schemas: Record<string, StoredSchema> = {};

  /** Rolls back to `checkpoint`, which `holds`; or begins with nothing, at that checkpoint. */
  constructor(db: SqlDatabase, owner: RowsOwner, checkpoint: number, isHeld: boolean) {
    this.#db = db;
    this.#owner = owner;
    this.#floor = checkpoint;
    this.#since = checkpoint;
    if (isHeld) {
      const counts = countsAt(db, checkpoint);
      if (counts === undefined) throw new Error(`R4: checkpoint ${checkpoint} is not held.`);
      this.#counts = { ...counts };
      for (const [id, of] of Object.entries(schemasAt(db, checkpoint))) {
        db.exec("UPDATE state_tables SET schema = ? WHERE id = ?", JSON.stringify(of), Number(id));
      }
      db.exec("UPDATE state_runs SET live = 0 WHERE since >= ?", checkpoint);
      db.exec("DELETE FROM state_barriers");
    } else {
      StateRows.drop(db);
      for (const statement of schema) db.exec(statement);
    }
    const numberAfter = (query: string): number => 1 + Number(db.exec(query)[0]!["n"] ?? 0);
    this.#nextRun = numberAfter("SELECT max(id) AS n FROM state_runs");
    this.#nextPlace = numberAfter("SELECT max(place) AS n FROM state_runs");
    this.#blocks = { next: numberAfter("SELECT max(first + blocks) AS n FROM state_parts") };
    this.#dropped = db
      .exec("SELECT id FROM state_runs WHERE live = 0")
      .map((row) => Number(row["id"]));
    for (const table of this.tables()) this.#tables.set(table.id, new TableRuns(table));
    for (const run of SortedRun.all(db)) this.#tables.get(run.of)!.runs.push(run);
    this.#measure();
    this.#storeAbout();
  }

  /** Whether a rollback to `checkpoint` is possible. */
  static hold(db: SqlDatabase, { range, maxParallelism }: RowsOwner, checkpoint: number): boolean {
    const about = aboutOf(db);
    if (about === undefined) return false;
    const { owner, floor, isLoading } = about;
    if (isLoading) return false;
    if (owner.maxParallelism !== maxParallelism) return false;
    if (owner.range.first !== range.first || owner.range.last !== range.last) return false;
    return checkpoint >= floor && countsAt(db, checkpoint) !== undefined;
  }

  /** Whether there is anything of them, if only empty tables. */
  static exist(db: SqlDatabase): boolean {
    const query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'state_about'";
    return db.exec(query).length > 0;
  }

  /** Leaves nothing behind. */
  static drop(db: SqlDatabase): void {
    for (const table of [...tables, ...former]) db.exec(`DROP TABLE IF EXISTS ${table}`);
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
  putTable(table: StoredTable): void {
    const { id, uid, state, schema: stored } = table;
    const text = JSON.stringify(stored);
    this.#db.exec("INSERT OR REPLACE INTO state_tables VALUES (?, ?, ?, ?)", id, uid, state, text);
    if (!this.#tables.has(id)) this.#tables.set(id, new TableRuns(table));
  }

  /** Entries that a table begins with. Looks at all of its rows where it was restored from deltas. */
  count(table: number): number {
    const known = this.#counts[table];
    if (known !== undefined) return known;
    const { runs } = this.#of(table);
    let entries = runs.length === 1 ? runs[0]!.entries : 0;
    if (runs.length > 1) {
      const rows = new MergedRuns(this.#db, runs);
      while (rows.next()) if (!rows.row.isRemoval) entries++;
    }
    this.#counts[table] = entries;
    this.#storeAbout();
    return entries;
  }

  /** Bytes of memory that finding rows takes. */
  get bytes(): number {
    return this.#bytes;
  }

  // Entries.

  get(table: number, k: Uint8Array): Uint8Array | undefined {
    return this.getAll(table, [k])[0];
  }

  /** What `get` answers for each of these, with few statements. */
  getAll(table: number, keys: readonly Uint8Array[]): (Uint8Array | undefined)[] {
    const { runs } = this.#of(table);
    return this.#find(runs, keys).map((found) => found ?? undefined);
  }

  #find(runs: readonly SortedRun[], keys: readonly Uint8Array[]): Found[] {
    const wanted = keys.map((key) => ({ key, hash: hashOf(key) }));
    return findAll(this.#db, runs, wanted);
  }

  /** Writes rows of the running epoch, of different keys and in their order, all or none. */
  write(table: number, rows: readonly Row[]): void {
    const of = this.#of(table);
    // Where there is nothing, nothing is gone.
    const all = of.runs.length > 0 ? rows : rows.filter(({ v }) => v !== null);
    if (all.length === 0) return;
    this.#db.transaction(() => {
      const writer = this.#writer(of, this.#since, all.length);
      for (const { k, v } of all) writer.add(k, v);
      of.runs.push(writer.finish()!);
    });
    this.#owed += mergedPerRow * all.length;
    this.#measure();
    this.advance();
  }

  /** Rows come that are not all there is to the checkpoint: until `loaded` it is not held. */
  loading(): void {
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.#storeAbout();
  }

  loaded(): void {
    this.#isLoading = false;
    this.#storeAbout();
  }

  /**
   * A table is put under another schema, before anything is written in this epoch. A rollback to where that
   * began puts it under this one again, as it then has the rows that are of it.
   */
  migrates(table: number, from: StoredSchema): void {
    this.#schemas[table] = from;
    this.#storeAbout();
  }

  /** Takes rows that a completed checkpoint holds, of one full segment or one delta; `rows`: so many, about. */
  restorer(table: number, isFull: boolean, rows: number | undefined): RestoredRows {
    const of = this.#of(table);
    of.isFrozenWhole = true;
    return new RestoredRows(
      rows,
      (entries) => this.#writer(of, restoredSince, entries),
      (run) => {
        run.isChange = !isFull;
        of.runs.push(run);
        this.#measure();
      },
    );
  }

  #writer(of: TableRuns, since: number, entries: number): RunWriter {
    const about = { id: this.#nextRun++, of: of.id, place: this.#nextPlace++, since };
    return new RunWriter(this.#db, about, this.#blocks, { entries, isNested: of.isNested });
  }

  /** Entries of a table, in order; later writes may show. */
  *scan(table: number): Generator<{ k: Uint8Array; v: Uint8Array }> {
    for (const { k, v } of this.#pages(() => this.#of(table).runs)) if (v !== null) yield { k, v };
  }

  /** Entries of a table whose keys begin with `prefix`: pairs of one first half. */
  *under(table: number, prefix: Uint8Array): Generator<{ k: Uint8Array; v: Uint8Array }> {
    const hash = hashOf(prefix);
    const runs = this.#of(table).runs.filter((run) => run.mayHave(hash));
    const rows = new MergedRuns(this.#db, runs, prefix);
    while (rows.next()) {
      const { key: k, value: v } = rows.row;
      if (!beginsWith(k, prefix)) return;
      if (v !== null) yield { k, v };
    }
  }

  /**
   * The newest rows of each key in these runs, from the first key on, a page at a time: runs may be
   * merged or dropped while somebody is at it.
   */
  *#pages(runs: () => readonly SortedRun[]): Generator<Row> {
    let after: Uint8Array | undefined;
    for (;;) {
      const page: Row[] = [];
      const rows = new MergedRuns(this.#db, runs(), after);
      while (page.length < pageRows && rows.next()) {
        const { key: k, value: v } = rows.row;
        if (after === undefined || compareBytes(k, after) !== 0) page.push({ k, v });
      }
      yield* page;
      if (page.length < pageRows) return;
      after = page.at(-1)!.k;
    }
  }

  /** Whether the running epoch wrote anything of a table. */
  hasWritten(table: number): boolean {
    return this.#of(table).runs.some(({ since }) => since === this.#since);
  }

  /** Whether an earlier epoch left an entry. */
  hasHeld(table: number, k: Uint8Array): boolean {
    return this.#hasAny(this.#earlier(table), k);
  }

  #earlier(table: number): readonly SortedRun[] {
    return this.#of(table).runs.filter(({ since }) => since < this.#since);
  }

  #hasAny(runs: readonly SortedRun[], k: Uint8Array): boolean {
    return this.#find(runs, [k])[0] instanceof Uint8Array;
  }

  /** All entries of a table as they are, in order. */
  all(table: number): FrozenRows {
    const { runs } = this.#of(table);
    return this.#frozen(runs, runs, ({ v }) => v !== null);
  }

  /** What the running epoch wrote of a table, in order; of what is gone, what an earlier one holds. */
  written(table: number): FrozenRows {
    const running = this.#of(table).runs.filter(({ since }) => since === this.#since);
    const earlier = this.#earlier(table);
    const isNews = ({ k, v }: Row): boolean => v !== null || this.#hasAny(earlier, k);
    return this.#frozen(running, [...running, ...earlier], isNews);
  }

  /** What was written of a table since its last full freeze, in order. */
  changed(table: number): FrozenRows {
    const changes = this.#of(table).runs.filter(({ isChange }) => isChange);
    return this.#frozen(changes, changes, () => true);
  }

  /** Rows of runs as they are now; `read`: all runs that are looked at. */
  #frozen(
    runs: readonly SortedRun[],
    read: readonly SortedRun[],
    isOf: (row: Row) => boolean,
  ): FrozenRows {
    const [own, all] = [[...runs], [...read]];
    const db = this.#db;
    return {
      bytes: own.reduce((sum, { blockBytes }) => sum + blockBytes, 0),
      *[Symbol.iterator]() {
        const rows = new MergedRuns(db, own);
        while (rows.next()) {
          const { key: k, value: v } = rows.row;
          if (isOf({ k, v })) yield { k, v };
        }
      },
      keep: () => this.#keep(all),
    };
  }

  /** Has the blocks of these runs stay until what is answered is called, once. */
  #keep(runs: readonly SortedRun[]): () => void {
    for (const { id } of runs) this.#kept.set(id, (this.#kept.get(id) ?? 0) + 1);
    return () => {
      for (const { id } of runs) {
        const left = this.#kept.get(id)! - 1;
        if (left === 0) this.#kept.delete(id);
        else this.#kept.set(id, left);
      }
    };
  }

  /** Rows of a table written since its last full freeze, or more; undefined where that is not known. */
  changes(table: number): number | undefined {
    const { runs, isFrozenWhole } = this.#of(table);
    if (!isFrozenWhole) return undefined;
    return runs.reduce((sum, { isChange, entries }) => sum + (isChange ? entries : 0), 0);
  }

  /** A table is frozen whole: what is written from now on is a change to that. */
  frozenWhole(table: number): void {
    const of = this.#of(table);
    of.isFrozenWhole = true;
    for (const run of of.runs) run.isChange = false;
  }

  // Checkpoints.

  /** What was written belongs to that checkpoint, with so many entries; what follows does not. */
  sealed(checkpoint: CheckpointId, counts: Counts): void {
    if (checkpoint <= this.#since) {
      throw new Error(`R2: barrier ${checkpoint} came after ${this.#since}.`);
    }
    const text = JSON.stringify(counts);
    this.#db.exec("INSERT INTO state_barriers VALUES (?, ?)", checkpoint, text);
    this.#since = checkpoint;
  }

  completed(checkpoint: CheckpointId): void {
    if (checkpoint <= this.#floor || checkpoint > this.#since) return;
    const counts = countsAt(this.#db, checkpoint);
    // One that was never sealed here: another subtask's, or one that was declined.
    if (counts === undefined) return;
    this.#floor = checkpoint;
    this.#counts = { ...counts };
    this.#schemas = {};
    this.#storeAbout();
    this.#db.exec("DELETE FROM state_barriers WHERE checkpoint <= ?", checkpoint);
    for (const of of this.#tables.values()) if (counts[of.id] === 0) this.#dropEmpty(of);
    this.advance();
  }

  /** A table that held nothing at `floor` needs no news of what is gone. */
  #dropEmpty(of: TableRuns): void {
    const settled = of.runs.filter(({ since }) => since < this.#floor);
    if (settled.length === 0 || settled.some(({ isMerging }) => isMerging)) return;
    this.#db.transaction(() => this.#drop(settled));
    of.runs = of.runs.slice(settled.length);
    this.#measure();
  }

  #drop(runs: readonly SortedRun[]): void {
    for (const { id } of runs) {
      this.#db.exec("UPDATE state_runs SET live = 0 WHERE id = ?", id);
      this.#dropped.push(id);
    }
  }

  /** A turn: goes on with merges, in steps of a few milliseconds, as many as what was written asks for. */
  advance(): void {
    this.#owed += mergedPerTurn;
    const asked = Math.ceil(this.#owed / (stepsMax * this.#stepRows));
    const [least, most] = this.#isBehind ? [1, stepsMaxBehind] : [0, stepsMax];
    const steps = Math.min(most, Math.max(least, asked));
    for (let step = 0; step < steps; step++) {
      this.#dropStep();
      const merged = this.#mergeStep();
      if (merged === undefined) {
        this.#owed = 0;
        return;
      }
      this.#owed = Math.max(-stepRows, this.#owed - merged);
    }
  }

  get #isBehind(): boolean {
    for (const { runs } of this.#tables.values()) if (runs.length > runsMany) return true;
    return false;
  }

  /** Frees the blocks of a part. */
  #dropStep(): void {
    const at = this.#dropped.findLastIndex((run) => !this.#kept.has(run));
    const run = this.#dropped[at];
    if (run !== undefined && !dropPart(this.#db, run)) this.#dropped.splice(at, 1);
  }

  /** Merges a part and answers how many rows that were; undefined where there is nothing to merge. */
  #mergeStep(): number | undefined {
    for (const table of this.#tables.values()) this.#begin(table);
    if (this.#merges.length === 0) return undefined;
    // The smallest first: the large ones take long, and runs would pile up behind them.
    const next = this.#merges.reduce((a, b) => (b.merge.entries < a.merge.entries ? b : a));
    const { table, merge } = next;
    const before = merge.read;
    const outcome = this.#db.transaction(() => {
      const outcome = merge.step();
      if (outcome.kind === "done") this.#drop(merge.inputs);
      return outcome;
    });
    const read = merge.read - before;
    if (outcome.kind === "going") {
      this.#stepRows = Math.min(stepRows, Math.max(1, read));
      return read;
    }
    const [oldest] = merge.inputs;
    const merged = outcome.run === undefined ? [] : [outcome.run];
    for (const run of merged) run.isChange = merge.inputs.some(({ isChange }) => isChange);
    table.runs.splice(table.runs.indexOf(oldest!), merge.inputs.length, ...merged);
    this.#merges = this.#merges.filter((other) => other !== next);
    this.#measure();
    return read;
  }

  #begin(table: TableRuns): void {
    const { runs, isNested } = table;
    const inputs = toMerge(runs, (run) => this.#domainOf(run));
    if (inputs === undefined) return;
    const isOldest = inputs[0] === runs[0];
    const of = { inputs, isOldest, isNested };
    const merge = new RunMerge(this.#db, this.#nextRun++, this.#blocks, of);
    this.#merges.push({ table, merge });
  }

  /** Runs of one domain may be merged (R3, R5). */
  #domainOf({ since, isChange }: SortedRun): number | string {
    if (since >= this.#floor) return since;
    return isChange ? "changes" : "whole";
  }

  #of(table: number): TableRuns {
    return this.#tables.get(table)!;
  }

  #measure(): void {
    this.#bytes = 0;
    for (const { runs } of this.#tables.values()) {
      for (const run of runs) this.#bytes += run.bytes;
    }
  }

  #storeAbout(): void {
    const about: About = {
      version,
      owner: this.#owner,
      floor: this.#floor,
      counts: this.#counts,
      ...(this.#isLoading && { isLoading: true }),
      ...(Object.keys(this.#schemas).length > 0 && { schemas: this.#schemas }),
    };
    this.#db.exec("INSERT OR REPLACE INTO state_about VALUES (0, ?)", JSON.stringify(about));
  }
}

/** Tables of earlier layouts. */
const former = ["state_settled", "state_fresh"];

function aboutOf(db: SqlDatabase): About | undefined {
  if (!StateRows.exist(db)) return undefined;
  const stored = db.exec("SELECT about FROM state_about")[0];
  if (stored === undefined) return undefined;
  const about = JSON.parse(textOf(stored["about"])) as About;
  return about.version === version ? about : undefined;
}

/** Entries of each table at a checkpoint that can be rolled back to. */
function countsAt(db: SqlDatabase, checkpoint: number): Counts | undefined {
  const about = aboutOf(db);
  if (about?.floor === checkpoint) return about.counts;
  const query = "SELECT counts FROM state_barriers WHERE checkpoint = ?";
  const passed = about && db.exec(query, checkpoint)[0];
  return passed && (JSON.parse(textOf(passed["counts"])) as Counts);
}

/** Of tables whose schema was another at that checkpoint. */
function schemasAt(db: SqlDatabase, checkpoint: number): Readonly<Record<string, StoredSchema>> {
  const about = aboutOf(db);
  return about?.floor === checkpoint ? (about.schemas ?? {}) : {};
}

/** Rows that are sorted and written at a time, and of one run where it is not known how many there are. */
const sortedRowsMax = 65_536;
/** Bytes of them: a key group of a large state is larger than memory. */
const sortedBytesMax = 4 * MiB;

/** Rows of one segment, group by group, on their way into as few runs as their order allows. */
export class RestoredRows {
  readonly #open: (entries: number) => RunWriter;
  readonly #take: (run: SortedRun) => void;
  #writer: RunWriter | undefined;
  /** Rows that the writer has room for, and rows that may come after those it has. */
  #room = 0;
  #left: number | undefined;
  #rows: Row[] = [];
  #bytes = 0;

  constructor(
    rows: number | undefined,
    open: (entries: number) => RunWriter,
    take: (run: SortedRun) => void,
  ) {
    this.#left = rows;
    this.#open = open;
    this.#take = take;
  }

  add(row: Row): void {
    const before = this.#rows.at(-1);
    const isOtherGroup =
      before !== undefined && (before.k[0] !== row.k[0] || before.k[1] !== row.k[1]);
    const isFull = this.#rows.length === sortedRowsMax || this.#bytes >= sortedBytesMax;
    if (isOtherGroup || isFull) this.#write();
    this.#rows.push(row);
    this.#bytes += row.k.length + (row.v?.length ?? 0);
  }

  done(): void {
    this.#write();
    this.#finish();
  }

  #write(): void {
    const rows = inOrder(this.#rows);
    this.#rows = [];
    this.#bytes = 0;
    for (const [at, { k, v }] of rows.entries()) {
      const next = rows[at + 1];
      // The latter, where a key comes twice.
      if (next !== undefined && compareBytes(next.k, k) === 0) continue;
      const writer = this.#writer;
      if (writer !== undefined && (this.#room === 0 || !writer.isAfter(k))) this.#finish();
      if (this.#writer === undefined) {
        // Where it was a guess, more may come than were said to.
        const left = this.#left !== undefined && this.#left > 0 ? this.#left : sortedRowsMax;
        this.#room = Math.max(left, rows.length);
        this.#writer = this.#open(this.#room);
      }
      this.#writer.add(k, v);
      this.#room--;
      if (this.#left !== undefined) this.#left--;
    }
  }

  #finish(): void {
    const run = this.#writer?.finish();
    this.#writer = undefined;
    if (run !== undefined) this.#take(run);
  }
}

const beginsWith = (bytes: Uint8Array, prefix: Uint8Array): boolean =>
  bytes.length >= prefix.length && compareBytes(bytes.subarray(0, prefix.length), prefix) === 0;
