// What an operator is to the chain that runs it. One operator per file beside this one; each is
// synchronous, knows rows, keys and its own state, and nothing of channels, barriers or storage.

import type { Column } from "../format/batch.ts";
import type { CheckpointId } from "../format/ids.ts";
import type { Key } from "../format/key.ts";
import type { AsyncContext } from "../stream/async.ts";
import type { Call, CallAnswer } from "./async-requests.ts";
import type { TextMemory } from "../format/known-texts.ts";
import type { Lineage, Reject } from "./rejection.ts";
import type { KeyedStateStore } from "./state/keyed-state.ts";
import type { OperatorStateStore } from "./state/operator-state.ts";

/**
 * Rows on their way through a chain. `rows()` costs the objects once; later readers share them. Where
 * there are `fields`, whoever needs some of them only may take their columns and no rows.
 */
export interface RecordBatch {
  readonly length: number;
  /** Which records the rows come from, where somebody needs to know. */
  readonly lineage?: Lineage | undefined;
  /**
   * The event time of each row in milliseconds; NaN of a row that has none, absent where none has one.
   */
  readonly timestamps?: Float64Array | undefined;
  /** Present where the rows are held as columns: all are plain objects with these fields, in order. */
  readonly fields?: readonly string[] | undefined;
  rows(): readonly unknown[];
  /**
   * One of `fields`, as the rows have it. Only where there are any.
   * @param memory of the texts of that field in other batches
   */
  column?(field: string, memory?: TextMemory): Column;
}

/** A batch of which columns can be taken. */
export type ColumnarBatch = RecordBatch &
  Required<Pick<RecordBatch, "column">> & { readonly fields: readonly string[] };

export const isColumnar = (batch: RecordBatch): batch is ColumnarBatch =>
  batch.fields !== undefined && batch.column !== undefined;

/** Where an operator's results go: the next operators of the chain and the outgoing edges. */
export interface Output {
  /** @param tag the side output that the rows go to, by its name; absent: they are what it emits. */
  emit(batch: RecordBatch, tag?: string): void;
}

/** Where a `WatermarkingOperator`'s results go: behind others event time goes on by itself. */
export interface WatermarkOutput extends Output {
  /**
   * All rows that follow are later than that, but for late ones. What is emitted next is behind it.
   * `isIdle`: none is to be waited for until another call says so.
   */
  advance(watermark: number, isIdle?: boolean): void;
}

export interface OperatorContext {
  readonly uid: string;
  /** Keyed state of this operator; only keyed operators may ask for any. */
  readonly state: KeyedStateStore;
  /** State of this operator that no key owns. */
  readonly operatorState: OperatorStateStore;
  readonly subtask: { readonly index: number; readonly parallelism: number };
  /** Processing time in milliseconds; stands still during a batch. */
  now(): number;
  /**
   * Event time here: what is not later than this was to be expected before; `noTime` at first. For a key it
   * is no less than where the key was before a restore; without one, as far as for any key.
   */
  watermark(key?: Key): number;
  /** Counts rows that came too late and were left out. */
  readonly dropLate?: (rows: number) => void;
  /** Takes rows that user code throws on; absent: such a row fails the attempt. */
  readonly reject?: Reject | undefined;
}

/**
 * One operator of one subtask.
 *
 * Calls come one at a time. `processBatch` emits during the call or not at all; state it changed is
 * part of the snapshot of the next barrier.
 */
export interface Operator {
  /** `input`: by which of the operator's inputs the rows came, from 0; those with one need not ask. */
  processBatch(batch: RecordBatch, out: Output, input: number): void;
}

/** An operator that acts when a time has come. */
export interface TimedOperator extends Operator {
  /** When `fireTimers` has something to do; undefined where nothing waits. */
  readonly nextTimerAt: number | undefined;
  /** Acts on what is due by `now`, the earliest first, or on a good deal of it. */
  fireTimers(now: number, out: Output): void;
}

/** An operator that acts when event time has come to a point. */
export interface EventTimeOperator extends Operator {
  /**
   * Acts on what is due by `watermark`, the earliest first, or on a good deal of it; whether that was
   * all. Called again where it was not, before anything else is. What it emits is ahead of the watermark.
   */
  advance(watermark: number, out: Output): boolean;
}

/** An operator that says itself, in `out`, how far event time has come behind it. */
export interface WatermarkingOperator extends Operator {
  processBatch(batch: RecordBatch, out: WatermarkOutput, input: number): void;
  /** Event time has come to `watermark` before it; it does not go on by itself. */
  reached(watermark: number, out: WatermarkOutput): void;
  /** How far it had come behind it at the snapshot that was restored; `noTime` where nothing is known. */
  readonly behind: number;
  /**
   * Whether rows before it are to be waited for; where it is to go on behind it the operator says so. Absent:
   * it decides by itself.
   */
  idled?(isIdle: boolean, out: WatermarkOutput): void;
  /** Where rows may not leave ahead of what was said of event time before them, however they are buffered. */
  readonly isPunctuated?: boolean;
}

/** An operator that has calls made, whose answers come later. Its function is the user's. */
export interface CallingOperator extends Operator {
  /** Makes a call; not for the operator itself. What it returns may be a promise. */
  readonly invoke: (argument: unknown, ctx: AsyncContext) => unknown;
  /** Calls to make, each told once for each try. */
  takeCalls(): readonly Call[];
  /** Calls that are of no use any more, each told once. */
  takeOverdue(): readonly number[];
  /** What came of calls. Nothing is emitted before `release`. */
  answered(answers: readonly CallAnswer[]): void;
  /** Whether `release` has something to do. */
  readonly hasReady: boolean;
  /** Emits what is answered and may leave. */
  release(out: Output): void;
  /** Whether it is to be given rows. */
  readonly hasRoom: boolean;
  /** Whether rows are on their way through. */
  readonly isWaiting: boolean;
}

/** An operator that shows results outside: nothing is final before `commit`. */
export interface SinkOperator extends Operator {
  /** At the barrier: what was written since the last one belongs to `checkpoint`. */
  prepareCommit(checkpoint: CheckpointId): void;
  /** The checkpoint is durable, and so are all before it. May be called again. */
  commit(checkpoint: CheckpointId): void;
}

/** Rows that are to be an object of the bucket. */
export interface FileContent {
  readonly name: string;
  readonly partition: string;
  /** Tells the files of a partition that are taken together, from 0. */
  readonly n: number;
  readonly bytes: Uint8Array;
}

/** An operator whose rows leave as files: the task keeps what it takes, and makes it final. */
export interface FilingOperator extends Operator {
  readonly isEmpty: boolean;
  /** What has come since the last time. It is nothing to the operator any more. */
  takeFiles(): readonly FileContent[];
  /** A number that no files of this attempt have, for those that are taken at no barrier. */
  nextFlush(): number;
}

export const isTimed = (operator: Operator): operator is TimedOperator => "fireTimers" in operator;

export const isEventTimed = (operator: Operator): operator is EventTimeOperator =>
  "advance" in operator;

export const isWatermarking = (operator: Operator): operator is WatermarkingOperator =>
  "reached" in operator;

export const isCalling = (operator: Operator): operator is CallingOperator =>
  "takeCalls" in operator;

/** Whether an operator decides by itself how far event time has come behind it, and whether it is idle. */
export const decidesTime = (operator: Operator | undefined): boolean =>
  operator !== undefined && isWatermarking(operator) && operator.idled === undefined;

export const isFiling = (operator: Operator): operator is FilingOperator => "takeFiles" in operator;

export const isSink = (operator: Operator): operator is SinkOperator => "prepareCommit" in operator;
