// Event time of a source: the event times of its rows, and how far each of its splits has come.
//   S1. The source has come as far as the split that is furthest behind, of those that are waited for;
//       never back. Where none is waited for, as far as the furthest of them all.
//   S2. A split without a row for the strategy's idleness is idle until its next row. A subtask
//       without splits is idle.
//   S3. A snapshot holds of each split what its generator knows, whether it is idle, and how far the
//       source had come: after a restore, at any parallelism, it has come no less far in any split.
//   S4. A split that has come further than it may is ahead, and its rows wait. It is not idle meanwhile:
//       that it has no row is not its own doing.

import { endOfTime, noTime, type Watermark } from "../format/frame.ts";
import { UserCodeError } from "../stream/errors.ts";
import { shown } from "../stream/names.ts";
import { bounded, type WatermarkGenerator, type WatermarkStrategy } from "../stream/watermarks.ts";
import { AnnotatedBatch } from "./annotated-batch.ts";
import { isColumnar, type RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";

/** Of one split, in snapshots. */
export interface SplitProgress {
  readonly split: number;
  /** What the generator knows; of a bound the latest event time. */
  readonly known: unknown;
  readonly watermark: number;
  readonly isIdle: boolean;
  /** By the clock; null before the first event. */
  readonly lastRowAt: number | null;
}

interface Split {
  readonly split: number;
  known: unknown;
  watermark: number;
  isIdle: boolean;
  hasEnded: boolean;
  lastRowAt: number | null;
}

type Generator = WatermarkGenerator<never, unknown>;

export class SplitWatermarks {
  readonly #uid: string;
  readonly #timestamp: string | ((row: never) => number);
  readonly #generator: Generator;
  readonly #isBounded: boolean;
  readonly #idleness: number | undefined;
  readonly #splits: ReadonlyMap<number, Split>;
  #time = noTime;
  /** How far splits may come (S4). */
  #allowed = endOfTime;

  /** @param restored of all subtasks of the source; splits they lack begin anew. */
  constructor(
    uid: string,
    { timestamp, progress, idleness }: WatermarkStrategy<never>,
    splits: readonly number[],
    restored: readonly SplitProgress[],
  ) {
    this.#uid = uid;
    this.#timestamp = timestamp;
    this.#generator = typeof progress === "number" ? bounded(progress) : progress;
    this.#isBounded = typeof progress === "number";
    this.#idleness = idleness;
    const held = new Map(restored.map((one) => [one.split, one]));
    this.#splits = new Map(
      splits.map((split) => {
        const { known, watermark, isIdle, lastRowAt } = held.get(split) ?? {
          known: this.#generator.create(),
          watermark: noTime,
          isIdle: false,
          lastRowAt: null,
        };
        return [split, { split, known, watermark, isIdle, lastRowAt, hasEnded: false }] as const;
      }),
    );
    this.advance();
  }

  /** Whether event time may come further behind any row of a batch. */
  get isPunctuated(): boolean {
    return this.#generator.punctuated === true;
  }

  /** How far the source has come. */
  get watermark(): Watermark {
    return { time: this.#time, isIdle: this.#isIdle };
  }

  /** When the next split becomes idle if nothing comes; undefined where none does. */
  get idleAt(): number | undefined {
    if (this.#idleness === undefined) return undefined;
    let at: number | undefined;
    for (const split of this.#splits.values()) {
      const { isIdle, hasEnded, lastRowAt } = split;
      if (isIdle || hasEnded || lastRowAt === null || this.#isBeyond(split)) continue;
      const own = lastRowAt + this.#idleness;
      if (at === undefined || own < at) at = own;
    }
    return at;
  }

  /** The attempt begins: until now no split could have any row. */
  started(now: number): void {
    for (const split of this.#splits.values()) split.lastRowAt = now;
  }

  /** Time passes; splits may become idle. */
  tick(now: number): void {
    if (this.#idleness === undefined) return;
    for (const split of this.#splits.values()) {
      split.lastRowAt ??= now;
      if (this.#isBeyond(split)) continue;
      if (!split.hasEnded && now >= split.lastRowAt + this.#idleness) split.isIdle = true;
    }
    this.advance();
  }

  /** Splits may come that far, and no further until they may. */
  allow(time: number, now: number): void {
    const before = [...this.#splits.values()].filter((split) => this.#isBeyond(split));
    this.#allowed = time;
    for (const split of before) if (!this.#isBeyond(split)) split.lastRowAt = now;
  }

  /** Whether a split is ahead of where it may be (S4). */
  isAhead(split: number): boolean {
    return this.#isBeyond(this.#splits.get(split)!);
  }

  /** How far the split has come that is furthest behind of those that are ahead; undefined: none is. */
  get leastAhead(): number | undefined {
    let least: number | undefined;
    for (const split of this.#splits.values()) {
      if (this.#isBeyond(split)) least = Math.min(least ?? endOfTime, split.watermark);
    }
    return least;
  }

  /** And of those that are waited for; undefined where none is. */
  get leastWaited(): number | undefined {
    let least: number | undefined;
    for (const { watermark, isIdle, hasEnded } of this.#splits.values()) {
      if (!isIdle && !hasEnded) least = Math.min(least ?? endOfTime, watermark);
    }
    return least !== undefined && this.isHeld ? Math.min(least, this.#time) : least;
  }

  #isBeyond({ watermark, hasEnded }: Split): boolean {
    return watermark > this.#allowed && !hasEnded;
  }

  /** Whether event time stays where it is for now, whatever rows come. */
  isHeld = false;

  /**
   * The rows of one split with their event times, in parts, each with how far the source has come behind
   * it: all rows at once, but where the generator is punctuated a part ends with a row that has raised it.
   * A part is asked for when the one before it is through.
   */
  *timed(
    batch: RecordBatch,
    split: number,
    now: number,
  ): Iterable<{ readonly rows: RecordBatch; readonly watermark: Watermark }> {
    const timestamps = this.#timestampsOf(batch);
    const of = this.#splits.get(split)!;
    of.isIdle = false;
    of.lastRowAt = now;
    if (this.#isBounded) {
      of.known = latestOf(timestamps, of.known as number);
      of.watermark = Math.max(of.watermark, this.#watermarkOf(of.known));
      yield { rows: partOf(batch, timestamps, 0, batch.length), watermark: this.advance() };
      return;
    }
    const rows = batch.rows();
    const last = rows.length - 1;
    let from = 0;
    for (let at = 0; at < rows.length; at++) {
      of.known = this.#generator.onRow(of.known, timestamps[at]!, rows[at] as never);
      if (!this.isPunctuated && at < last) continue;
      const watermark = this.#watermarkOf(of.known, at);
      if (watermark <= of.watermark && at < last) continue;
      of.watermark = Math.max(of.watermark, watermark);
      yield {
        rows: partOf(batch, timestamps, from, at + 1),
        watermark: this.advance(),
      };
      from = at + 1;
    }
  }

  /** No row of that split will come any more. */
  ended(split: number): void {
    this.#splits.get(split)!.hasEnded = true;
  }

  snapshot(): readonly SplitProgress[] {
    return [...this.#splits.values()].flatMap(({ hasEnded, ...split }) =>
      hasEnded ? [] : [split],
    );
  }

  get #isIdle(): boolean {
    let haveEnded = this.#splits.size > 0;
    for (const { isIdle, hasEnded } of this.#splits.values()) {
      if (hasEnded) continue;
      if (!isIdle) return false;
      haveEnded = false;
    }
    return !haveEnded;
  }

  /** Event time comes as far as the rows that were seen allow. */
  advance(): Watermark {
    let least = endOfTime;
    let greatest = noTime;
    let isWaited = false;
    for (const { watermark, isIdle, hasEnded } of this.#splits.values()) {
      greatest = Math.max(greatest, watermark);
      if (hasEnded || isIdle) continue;
      isWaited = true;
      least = Math.min(least, watermark);
    }
    const hasEnded = this.#splits.size > 0 && [...this.#splits.values()].every((s) => s.hasEnded);
    const time = isWaited || hasEnded ? least : greatest;
    if (!this.isHeld || hasEnded) this.#time = Math.max(this.#time, time);
    return this.watermark;
  }

  /** NaN would be no less than anything, and stay. */
  #watermarkOf(known: unknown, row?: number): number {
    const time: unknown = this.#generator.watermark(known) ?? noTime;
    if (typeof time === "number" && !Number.isNaN(time)) return time;
    const problem = `watermark returned ${shown(time)}: milliseconds since 1970, or undefined while there is no time, are needed`;
    throw new UserCodeError(this.#uid, "watermarks", row, new TypeError(problem));
  }

  #timestampsOf(batch: RecordBatch): Float64Array {
    const field = this.#timestamp;
    if (typeof field === "string" && isColumnar(batch) && batch.fields.includes(field)) {
      const column = batch.column(field);
      if (column.kind === "float64") return this.#checked(column.values, batch);
      if (column.kind === "int32") return Float64Array.from(column.values);
    }
    const read =
      typeof field === "string" ? (row: never) => (row as Record<string, number>)[field]! : field;
    const rows = batch.rows();
    const times = new Float64Array(rows.length);
    for (let i = 0; i < rows.length; i++) {
      let time: unknown;
      try {
        time = read(rows[i] as never);
      } catch (cause) {
        throw new UserCodeError(this.#uid, "timestamp", i, cause);
      }
      times[i] = typeof time === "number" ? time : NaN;
    }
    return this.#checked(times, batch);
  }

  #checked(times: Float64Array, batch: RecordBatch): Float64Array {
    for (let i = 0; i < times.length; i++) {
      if (Number.isFinite(times[i])) continue;
      const field = this.#timestamp;
      const from = typeof field === "string" ? `field "${field}"` : "the timestamp function";
      const row = JSON.stringify(batch.rows()[i])?.slice(0, 200);
      const problem = `${from} gives no event time for ${row}: a finite number of milliseconds since 1970 is needed`;
      throw new UserCodeError(this.#uid, "timestamp", i, new TypeError(problem));
    }
    return times;
  }
}

function partOf(
  batch: RecordBatch,
  timestamps: Float64Array,
  from: number,
  end: number,
): RecordBatch {
  if (from === 0 && end === batch.length) return new AnnotatedBatch(batch, { timestamps });
  const positions = Array.from({ length: end - from }, (_, row) => from + row);
  return new RowBatch(
    batch.rows().slice(from, end),
    batch.lineage?.of(positions),
    timestamps.subarray(from, end),
  );
}

/** What subtasks had come to that was furthest behind, as everybody's only split. */
export const furthestBehind = (restored: readonly SplitProgress[]): SplitProgress[] =>
  restored
    .toSorted((left, right) => left.watermark - right.watermark)
    .slice(0, 1)
    .map((progress) => ({ ...progress, split: 0, isIdle: false }));

function latestOf(timestamps: Float64Array, known: number): number {
  let latest = known;
  for (let i = 0; i < timestamps.length; i++) if (timestamps[i]! > latest) latest = timestamps[i]!;
  return latest;
}
