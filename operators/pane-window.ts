// window, of windows of one size and slide by event time that are folded and told at their end: each row
// is folded once, into its pane (panes.ts), and a window is what its panes come to.
//   W1. Results, and which rows are late, are those of window.ts with the same windows.
//   W2. Panes are kept by key and start. One goes when no window asks for it any more; a window needs no
//       state of its own, and no timer: what is due follows from the panes (pane-schedule.ts).
//   W3. Up to when windows of a key have been told is kept exactly where some that cover its panes have
//       been, or were over when the pane began. So after a restore, to whatever watermark, no window is
//       told again for no row, and none is left out.
//   W4. A row, or a window, that throws where that is not to fail has changed nothing.
//   W5. Where all rows of a batch are in windows that were not told yet, columns are folded without making
//       rows wherever an aggregate allows that (aggregate-columns.ts), to the same end.
//   W6. A window of many panes is not merged from all of them each time (pane-merges.ts).

import { keyId, type Key, type KeyId } from "../format/key.ts";
import type { KeySelector } from "../stream/graph.ts";
import type { WindowSpec } from "../stream/windowed-stream.ts";
import { ColumnFolder } from "./aggregate-columns.ts";
import { Emitted } from "./emitted.ts";
import type { CodedKeys } from "./key-codes.ts";
import { Journal } from "./journal.ts";
import type { EventTimeOperator, OperatorContext, Output, RecordBatch } from "./operator.ts";
import { PaneMerges, type PaneReader } from "./pane-merges.ts";
import { type KeyedPanes, PaneSchedule } from "./pane-schedule.ts";
import { Panes } from "./panes.ts";
import { rejectRow, rejectTimer } from "./rejection.ts";
import type { StateTable } from "./state/keyed-state.ts";
import { schemaOf } from "./state/schema.ts";
import { type Contents, contentsOf } from "./window-contents.ts";
import { noEventTime } from "./timestamps.ts";
import { WindowResults } from "./window-results.ts";

/** Keys with something due that get their turn in one go. */
const duesAtOnce = 1_000;

/** Panes that are merged anew for every window. */
const panesAtOnce = 3;

/** Most combinations of keys and panes that a batch is folded by in columns. */
const codesMax = 1 << 20;

type WindowContext = Pick<
  OperatorContext,
  "uid" | "state" | "now" | "watermark" | "dropLate" | "reject"
>;

export class PaneWindowOperator implements EventTimeOperator {
  readonly #ctx: WindowContext;
  readonly #key: KeySelector;
  readonly #spec: WindowSpec;
  readonly #panes: Panes;
  readonly #journal: Journal | undefined;
  readonly #contents: Contents;
  /** By key and start of the pane. */
  readonly #held: StateTable<unknown>;
  /** By key, up to when its windows have been told (W3). */
  readonly #told: StateTable<number>;
  readonly #columns: ColumnFolder | undefined;
  readonly #emitted = new Emitted();
  readonly #results: WindowResults;
  readonly #schedule: PaneSchedule;
  readonly #reader: PaneReader;
  /** Where a window has more than a few panes. */
  readonly #merges: PaneMerges | undefined;
  /** Of a code of a key and a position of a pane, its own code, plus one. */
  #pairs = new Int32Array(0);

  constructor(ctx: WindowContext, key: KeySelector, spec: WindowSpec) {
    this.#ctx = ctx;
    this.#key = key;
    this.#spec = spec;
    this.#panes = new Panes(spec.assigner.sliding!, spec.allowedLateness);
    this.#journal = ctx.reject && new Journal();
    const store = this.#journal?.over(ctx.state) ?? ctx.state;
    const schema = schemaOf({ holds: "map", version: 1, ttl: false });
    this.#contents = contentsOf(spec.fold, this.#journal !== undefined);
    this.#held = store.table("panes", schema);
    this.#told = store.table("told");
    const { fold } = spec;
    if (fold.kind === "aggregate") {
      const panes = ctx.state.table("panes") as StateTable<unknown[]>;
      this.#columns = ColumnFolder.of(key, fold.aggregates, panes);
    }
    const mergesInPlace = fold.kind === "aggregate" && this.#columns === undefined;
    this.#reader = {
      read: (of, start) => this.#held.get([of, start]),
      // `merge` may change what it is given first, which is the state's.
      merge: (left, right) =>
        this.#contents.merge(mergesInPlace ? structuredClone(left) : left, right),
    };
    const { sliding } = spec.assigner;
    const isLong = sliding!.size > panesAtOnce * this.#panes.length;
    this.#merges = isLong ? new PaneMerges(sliding!, this.#reader) : undefined;
    if (this.#merges !== undefined) ctx.state.derives?.(this.#merges);
    this.#results = new WindowResults(ctx, spec, this.#emitted);
    this.#schedule = new PaneSchedule(this.#panes);
    const told = new Map<KeyId, number>();
    for (const [of, time] of this.#told.entries()) told.set(keyId(of), time);
    for (const [pair] of this.#held.entries()) {
      const [of, start] = pair as readonly [Key, number];
      this.#schedule.add(of, start, told.get(keyId(of)) ?? -Infinity);
    }
  }

  processBatch(batch: RecordBatch, out: Output): void {
    if (this.#foldColumns(batch)) return;
    const select = this.#key;
    const rows = batch.rows();
    const { timestamps } = batch;
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          this.#begin();
          const row = rows[i] as never;
          const key = select(row);
          keyId(key); // refuses what is no key
          this.#take(key, row, timestamps?.[i]);
        }
      } catch (error) {
        this.#undo();
        rejectRow(this.#ctx, "window", batch, i, error);
      }
    }
    this.#results.sendTo(out);
  }

  advance(watermark: number, out: Output): boolean {
    for (let n = 0; n < duesAtOnce; n++) {
      const due = this.#schedule.take(watermark);
      if (due === undefined) {
        this.#results.sendTo(out);
        return true;
      }
      const { key, dueAt: time } = due;
      this.#begin();
      try {
        if (this.#panes.isEnd(time + 1)) this.#tellOnTime(due, time + 1);
      } catch (error) {
        this.#undo();
        rejectTimer(this.#ctx, { key, time }, error);
      }
      this.#passed(due, time);
    }
    this.#results.sendTo(out);
    return false;
  }

  // Rows.

  #take(key: Key, row: unknown, time: number | undefined): void {
    if (time === undefined || Number.isNaN(time)) throw noEventTime();
    const panes = this.#panes;
    const watermark = this.#ctx.watermark(key);
    const start = panes.of(time);
    if (!panes.isCovered(start) || panes.overAt(start) <= watermark) {
      return this.#drop(row, time, watermark);
    }
    const pair = [key, start];
    const before = this.#held.get(pair);
    this.#held.put(pair, this.#contents.add(before, row, time));
    if (before === undefined) {
      this.#added(key, start, watermark);
      this.#journal?.note(() => this.#schedule.drop(key, start));
    }
    if (!panes.isPartlyOver(start, watermark)) return;
    this.#merges?.forget(keyId(key));
    const starts = this.#schedule.startsOf(key);
    for (const end of panes.lateEnds(start, watermark)) this.#tell(key, starts, end);
  }

  #drop(row: unknown, time: number, watermark: number): void {
    const { lateOutput, allowedLateness } = this.#spec;
    if (time + allowedLateness > watermark) return;
    if (lateOutput === undefined) return this.#ctx.dropLate?.(1);
    this.#emitted.at(time);
    this.#emitted.output(lateOutput, row);
  }

  #added(key: Key, start: number, watermark: number): void {
    const after = Math.max(watermark, this.#told.get(key) ?? -Infinity);
    this.#schedule.add(key, start, after);
    // Of the windows of the pane those that are over were not told, and are not to be.
    if (this.#panes.isPartlyOver(start, after)) this.#told.put(key, after);
  }

  // Columns.

  #foldColumns(batch: RecordBatch): boolean {
    const { timestamps } = batch;
    const folder = this.#columns;
    if (folder === undefined || timestamps === undefined) return false;
    const keys = folder.coded(batch);
    if (keys === undefined) return false;
    const coded = this.#codedByPane(keys, timestamps);
    if (coded === undefined) return false;
    const added = folder.foldCoded(batch, coded);
    if (added === undefined) return false;
    for (const [key, start] of added as (readonly [Key, number])[]) {
      this.#added(key, start, this.#ctx.watermark(key));
    }
    return true;
  }

  /** Codes of key and pane; undefined where a row is in a window that is over, or in none. */
  #codedByPane({ keys, codes }: CodedKeys, timestamps: Float64Array): CodedKeys | undefined {
    const panes = this.#panes;
    const watermark = this.#ctx.watermark();
    const positions = new Map<number, number>();
    const starts: number[] = [];
    const pairs: Key[] = [];
    const paired = new Int32Array(codes.length);
    let from = NaN;
    let position = 0;
    for (let i = 0; i < codes.length; i++) {
      const time = timestamps[i]!;
      // Also where there is no time.
      if (!(time >= from && time < from + panes.length)) {
        from = panes.of(time);
        const known = positions.get(from);
        if (known === undefined) {
          if (!panes.isCovered(from) || panes.isPartlyOver(from, watermark)) return this.#clear();
          position = starts.push(from) - 1;
          if (starts.length * keys.length > codesMax) return this.#clear();
          positions.set(from, position);
          this.#makeRoom(starts.length * keys.length);
        } else {
          position = known;
        }
      }
      const at = position * keys.length + codes[i]!;
      let code = this.#pairs[at]!;
      if (code === 0) {
        code = pairs.push([keys[codes[i]!]!, from]);
        this.#pairs[at] = code;
      }
      paired[i] = code - 1;
    }
    this.#clear();
    return { keys: pairs, codes: paired, touched: Int32Array.from(pairs.keys()) };
  }

  #makeRoom(size: number): void {
    if (this.#pairs.length >= size) return;
    const grown = new Int32Array(2 * size);
    grown.set(this.#pairs);
    this.#pairs = grown;
  }

  #clear(): undefined {
    this.#pairs.fill(0);
  }

  // Windows.

  #tellOnTime(due: KeyedPanes, end: number): void {
    if (this.#merges === undefined) return this.#tell(due.key, due.starts, end);
    const start = this.#panes.startOf(end);
    this.#emit(due.key, start, end, this.#merges.of(due, start));
  }

  /** Emits the window of a key that ends there, if it has rows. `starts`: of all panes of the key. */
  #tell(key: Key, starts: readonly number[], end: number): void {
    const from = this.#panes.startOf(end);
    let at = starts.length;
    while (at > 0 && starts[at - 1]! >= from) at--;
    let held: unknown;
    for (; at < starts.length && starts[at]! < end; at++) {
      const pane = this.#reader.read(key, starts[at]!);
      held = held === undefined ? pane : this.#reader.merge(held, pane);
    }
    this.#emit(key, from, end, held);
  }

  #emit(key: Key, start: number, end: number, held: unknown): void {
    if (held === undefined) return;
    this.#results.emit(key, { start, end }, this.#contents.result(held));
  }

  /** Whatever was due for a key at that time has been dealt with. */
  #passed(due: KeyedPanes, time: number): void {
    const { key, starts } = due;
    let over = 0;
    while (over < starts.length && this.#panes.overAt(starts[over]!) <= time) over++;
    for (let n = 0; n < over; n++) this.#held.remove([key, starts[n]!]);
    starts.splice(0, over);
    if (starts.length === 0) this.#merges?.forget(due.id);
    // The earliest is over first.
    const isOver = starts.length > 0 && this.#panes.isPartlyOver(starts[0]!, time);
    if (isOver) this.#told.put(key, time);
    else if (this.#told.size > 0) this.#told.remove(key);
    this.#schedule.replan(due, time);
  }

  #begin(): void {
    this.#results.begin();
    this.#journal?.begin();
  }

  #undo(): void {
    this.#results.undo();
    this.#journal?.undo();
  }
}
