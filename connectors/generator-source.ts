// A generator as a source: which rows this subtask makes, how far it has come, when the next are due.
//   N1. The indices are dealt to `splits` in blocks, in turn, whatever the parallelism: row i is in
//       split floor(i / blockRows) mod splits. Split s belongs to subtask s mod parallelism.
//   N2. Of its splits a subtask goes on with the one that is furthest behind, so its rows come nearly
//       in the order of their indices, and after a change of parallelism catch up with it.
//   N3. The snapshot names, per split, how many of its rows were handed out: every row is made once
//       per attempt, and after a restore at any parallelism by exactly one subtask.
//   N4. Of a rate each subtask has an equal part. What it was kept from making is made up for a second
//       at most.

import { dictionaryColumn, type Column } from "../format/batch.ts";
import { batchRowsMax } from "../format/limits.ts";
import { ColumnBatch } from "../operators/column-batch.ts";
import type { RecordBatch } from "../operators/operator.ts";
import { RowBatch } from "../operators/row-batch.ts";
import { UserCodeError } from "../stream/errors.ts";
import type { ColumnMaker, GeneratorSource } from "../stream/generate.ts";

/** Part of what checkpoints mean: never change. */
const splits = 128;
const blockRows = 100;

/** Milliseconds of a rate that are gathered in one batch. */
const paceMillis = 10;
const arrearsMillis = 1_000;

interface Split {
  readonly split: number;
  /** Rows handed out. */
  taken: number;
}

/** Rows with consecutive indices. */
interface Run {
  readonly first: number;
  count: number;
}

/** The state of one subtask of a generator. */
export type GeneratorProgress = readonly { readonly split: number; readonly taken: number }[];

export class GeneratorReader {
  readonly #uid: string;
  readonly #generator: GeneratorSource<unknown>;
  readonly #splits: readonly Split[];
  readonly #pace: Pace | undefined;

  /** @param restored progress of all subtasks of the source; splits they lack begin at 0. */
  constructor(
    uid: string,
    generator: GeneratorSource<unknown>,
    options: {
      readonly index: number;
      readonly parallelism: number;
      readonly restored: GeneratorProgress;
    },
  ) {
    const { index, parallelism, restored } = options;
    const taken = new Map(restored.map((entry) => [entry.split, entry.taken]));
    this.#uid = uid;
    this.#generator = generator;
    this.#splits = Array.from({ length: splits }, (_, split) => split)
      .filter((split) => split % parallelism === index)
      .map((split) => ({ split, taken: taken.get(split) ?? 0 }));
    const { rowsPerSecond } = generator;
    this.#pace = rowsPerSecond === undefined ? undefined : new Pace(rowsPerSecond / parallelism);
  }

  /**
   * Whether rows with lower indices than some that were handed out are still to come, as after a change
   * of parallelism.
   */
  get isCatchingUp(): boolean {
    let last = -1;
    for (const split of this.#splits) {
      if (split.taken > 0) last = Math.max(last, lastOf(split));
    }
    return this.#splits.some((split) => nextOf(split) < Math.min(last, this.#generator.rows));
  }

  /** Whether every row was handed out. */
  get isAtEnd(): boolean {
    return this.#furthestBehind() === undefined;
  }

  /** When `take` has something to give, in milliseconds; undefined at the end. */
  readyAt(now: number): number | undefined {
    return this.isAtEnd ? undefined : (this.#pace?.readyAt(now) ?? 0);
  }

  /** The next rows that are due, at most so many. @throws UserCodeError where making them does */
  take(now: number, most = batchRowsMax): RecordBatch | undefined {
    const runs = this.#runs(this.#pace?.take(now, most) ?? most);
    if (runs.length === 0) return undefined;
    const { make } = this.#generator;
    try {
      return make.kind === "columns" ? columnsOf(make, runs) : rowsOf(make.row, runs);
    } catch (error) {
      throw new UserCodeError(this.#uid, "generate", undefined, error);
    }
  }

  snapshot(): GeneratorProgress {
    return this.#splits
      .filter(({ taken }) => taken > 0)
      .map(({ split, taken }) => ({ split, taken }));
  }

  /** Takes up to `most` rows off the splits. */
  #runs(most: number): Run[] {
    const runs: Run[] = [];
    let left = most;
    while (left > 0) {
      const split = this.#furthestBehind();
      if (split === undefined) break;
      const first = nextOf(split);
      const inBlock = blockRows - (split.taken % blockRows);
      const count = Math.min(left, inBlock, this.#generator.rows - first);
      split.taken += count;
      left -= count;
      const last = runs.at(-1);
      if (last !== undefined && last.first + last.count === first) last.count += count;
      else runs.push({ first, count });
    }
    return runs;
  }

  #furthestBehind(): Split | undefined {
    let found: Split | undefined;
    let least = this.#generator.rows;
    for (const split of this.#splits) {
      const next = nextOf(split);
      if (next >= least) continue;
      found = split;
      least = next;
    }
    return found;
  }
}

const lastOf = ({ split, taken }: Split): number => nextOf({ split, taken: taken - 1 });

/** The index of the first row of a split that was not handed out. */
function nextOf({ split, taken }: Split): number {
  const within = taken % blockRows;
  return (((taken - within) / blockRows) * splits + split) * blockRows + within;
}

function rowsOf(row: (index: number) => unknown, runs: readonly Run[]): RecordBatch {
  const rows = new Array<unknown>(runs.reduce((sum, { count }) => sum + count, 0));
  let at = 0;
  for (const { first, count } of runs) {
    for (let index = first; index < first + count; index++) rows[at++] = row(index);
  }
  return new RowBatch(rows);
}

function columnsOf({ fields, fill }: ColumnMaker, runs: readonly Run[]): RecordBatch {
  const length = runs.reduce((sum, { count }) => sum + count, 0);
  const names = Object.keys(fields);
  const arrays = names.map((name) => {
    const type = fields[name];
    if (type === "float64") return new Float64Array(length);
    return type === "int32" ? new Int32Array(length) : new Uint16Array(length);
  });
  let at = 0;
  for (const { first, count } of runs) {
    const part: Record<string, (typeof arrays)[number]> = {};
    for (let field = 0; field < names.length; field++) {
      part[names[field]!] = arrays[field]!.subarray(at, at + count);
    }
    fill(part as never, first);
    at += count;
  }
  const columns = arrays.map((values, field): Column => {
    if (values instanceof Float64Array) return { kind: "float64", values };
    if (values instanceof Int32Array) return { kind: "int32", values };
    const name = names[field]!;
    const entries = fields[name] as readonly string[];
    let beyond: number | undefined;
    for (let i = 0; i < length; i++) if (values[i]! >= entries.length) beyond ??= values[i];
    if (beyond === undefined) return dictionaryColumn({ entries, codes: values });
    throw new RangeError(
      `fill wrote ${beyond} to field "${name}", which has ${entries.length} texts: ` +
        `write positions from 0 to ${entries.length - 1}`,
    );
  });
  return new ColumnBatch(length, names, columns);
}

/** N4: how many rows are due, by the time. */
class Pace {
  readonly #perMilli: number;
  /** Rows that are worth a batch. */
  readonly #portion: number;
  #due = 0;
  #at: number | undefined;

  constructor(perSecond: number) {
    this.#perMilli = perSecond / 1_000;
    this.#portion = Math.min(Math.max(1, this.#perMilli * paceMillis), batchRowsMax);
  }

  readyAt(now: number): number {
    this.#accrue(now);
    return now + Math.ceil(Math.max(0, this.#portion - this.#due) / this.#perMilli);
  }

  /** Rows to make now, at most so many, which then count as made. */
  take(now: number, most: number): number {
    this.#accrue(now);
    if (this.#due < this.#portion) return 0;
    const rows = Math.min(Math.floor(this.#due), most);
    this.#due -= rows;
    return rows;
  }

  #accrue(now: number): void {
    const most = Math.max(this.#portion, this.#perMilli * arrearsMillis);
    const passed = Math.max(0, now - (this.#at ?? now));
    this.#due = Math.min(this.#due + passed * this.#perMilli, most);
    this.#at = now;
  }
}
