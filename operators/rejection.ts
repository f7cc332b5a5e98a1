// A row that user code throws on: who is told, and where the row comes from.
//   J1. A rejected row has no effect: nothing it emitted leaves, nothing it changed stays.
//   J2. What fails without being the row's fault, such as storage, fails the attempt as ever.
//   J3. Where rows come from is known only in the chain of a source in which somebody needs it; all
//       other batches have no lineage, and nobody spends anything on it.

import { StateError, UserCodeError } from "../stream/errors.ts";
import type { DeadLetter, RecordPosition } from "../stream/on-error.ts";
import { isColumnar, type RecordBatch } from "./operator.ts";

/** One row, or one timer, that was left out. */
export interface Rejected extends Pick<DeadLetter, "value" | "source" | "timer"> {
  readonly error: UserCodeError;
}

/** Takes what is left out; an operator without one fails instead. */
export type Reject = (rejected: Rejected) => void;

/** Whose code threw, and what follows. */
export interface RejectingOperator {
  readonly uid: string;
  readonly reject?: Reject | undefined;
}

/** The state could not be reached. */
export class StateStorageError extends Error {
  constructor(cause: unknown) {
    super(`The state cannot be read or written: ${String(cause)}`, { cause });
    this.name = "StateStorageError";
  }
}

/** Leaves row `at` of a batch out, after its effects were undone. @throws where that is to fail */
export function rejectRow(
  { uid, reject }: RejectingOperator,
  operator: string,
  batch: RecordBatch,
  at: number,
  cause: unknown,
): void {
  const error = failureOf(uid, operator, at, cause);
  if (reject === undefined) throw error;
  reject({ value: rowAt(batch, at), source: batch.lineage?.at(at) ?? null, timer: null, error });
}

/** Leaves a row out that is in no batch any more. @throws where that is to fail */
export function rejectValue(
  { uid, reject }: RejectingOperator,
  operator: string,
  row: Pick<Rejected, "value" | "source">,
  cause: unknown,
): void {
  const error = failureOf(uid, operator, undefined, cause);
  if (reject === undefined) throw error;
  reject({ ...row, timer: null, error });
}

/** One row, of columns without making the others. */
function rowAt(batch: RecordBatch, at: number): unknown {
  if (!isColumnar(batch)) return batch.rows()[at];
  return Object.fromEntries(batch.fields.map((field) => [field, batch.column(field).values[at]]));
}

/** Leaves a timer out, after its effects were undone. @throws where that is to fail */
export function rejectTimer(
  { uid, reject }: RejectingOperator,
  timer: NonNullable<Rejected["timer"]>,
  cause: unknown,
): void {
  const error = failureOf(uid, `timer of ${timer.time}`, undefined, cause);
  if (reject === undefined) throw error;
  reject({ value: null, source: null, timer, error });
}

function failureOf(
  uid: string,
  operator: string,
  at: number | undefined,
  cause: unknown,
): UserCodeError {
  if (cause instanceof StateError || cause instanceof StateStorageError) throw cause; // J2
  return new UserCodeError(uid, operator, at, cause);
}

/** The records that the rows of a batch come from: all of one partition. */
export class Lineage {
  readonly #topic: string;
  readonly #partition: number;
  readonly #offsets: readonly number[];

  constructor(topic: string, partition: number, offsets: readonly number[]) {
    this.#topic = topic;
    this.#partition = partition;
    this.#offsets = offsets;
  }

  at(row: number): RecordPosition {
    return { topic: this.#topic, partition: this.#partition, offset: this.#offsets[row]! };
  }

  /** Of a batch whose rows come from these rows, in this order. */
  of(rows: ArrayLike<number>): Lineage {
    return new Lineage(
      this.#topic,
      this.#partition,
      Array.from(rows, (row) => this.#offsets[row]!),
    );
  }
}
