// Which receiver a row goes to, one class per kind of edge.
//   P1. A key goes to the subtask that owns its key group, whoever sends it.
//   P2. Rebalancing deals rows out in turn, whatever batches they come in.
//   P3. Broadcasting sends every row to every receiver, in the same order to each.
//   P4. Rows keep their order. Where the key is made of fields and the batch has their columns, no row is
//       made, but those that are left out.
//   P5. A key function is called for every row. Where what it answers is what stands in a column of texts,
//       the receivers are those of the column's dictionary (key-guess.ts).

import { type Column, type Dictionary, hasBit } from "../format/batch.ts";
import { type Key, keyId, type KeyId, keyProblem } from "../format/key.ts";
import { TextMemory } from "../format/known-texts.ts";
import { keyGroupOf, ownerOfGroup } from "../format/key-groups.ts";
import { KeyCodes } from "../operators/key-codes.ts";
import { KeyGuess } from "../operators/key-guess.ts";
import { type ColumnarBatch, isColumnar, type RecordBatch } from "../operators/operator.ts";
import { type Reject, rejectRow, type RejectingOperator } from "../operators/rejection.ts";
import type { CustomPartitioning, KeySelector } from "../stream/graph.ts";
import { fieldsOf } from "../stream/fields.ts";

/** The rows of a batch for one receiver. */
export interface Share {
  readonly receiver: number;
  /** Their positions in the batch, in order; all rows where absent. */
  readonly select: Int32Array | undefined;
  readonly count: number;
}

export interface Partitioner {
  /**
   * Who gets which rows; receivers without any are left out. `held` has the same rows, in columns where
   * they can be.
   */
  split(batch: RecordBatch, held?: RecordBatch): readonly Share[];
}

const whole = (receiver: number, { length }: RecordBatch): Share => ({
  receiver,
  select: undefined,
  count: length,
});

export const forward: Partitioner = { split: (batch) => [whole(0, batch)] };

export class RebalancePartitioner implements Partitioner {
  readonly #receivers: number;
  #turn: number;

  /** @param first where to begin, so that several senders do not all begin with the same receiver. */
  constructor(receivers: number, first: number) {
    this.#receivers = receivers;
    this.#turn = first % receivers;
  }

  split({ length }: RecordBatch): Share[] {
    const receivers = new Int32Array(length);
    for (let i = 0; i < length; i++) {
      receivers[i] = this.#turn;
      if (++this.#turn === this.#receivers) this.#turn = 0;
    }
    return sharesOf(receivers, this.#receivers);
  }
}

export class BroadcastPartitioner implements Partitioner {
  readonly #receivers: number;

  constructor(receivers: number) {
    this.#receivers = receivers;
  }

  split(batch: RecordBatch): Share[] {
    return Array.from({ length: this.#receivers }, (_, receiver) => whole(receiver, batch));
  }
}

/** Of a row that nobody gets. */
const nobody = -1;

/** Every receiver's rows, by the receiver of each. */
export function sharesOf(receiverOfRow: Int32Array, receivers: number): Share[] {
  const counts = new Int32Array(receivers);
  for (let i = 0; i < receiverOfRow.length; i++) {
    const receiver = receiverOfRow[i]!;
    if (receiver !== nobody) counts[receiver]!++;
  }
  const ends = new Int32Array(receivers);
  let end = 0;
  for (let receiver = 0; receiver < receivers; receiver++) {
    ends[receiver] = end;
    end += counts[receiver]!;
  }
  // One run of positions per receiver; `ends` moves from the beginning of each to its end.
  const positions = new Int32Array(end);
  for (let i = 0; i < receiverOfRow.length; i++) {
    const receiver = receiverOfRow[i]!;
    if (receiver !== nobody) positions[ends[receiver]!++] = i;
  }
  const shares: Share[] = [];
  for (let receiver = 0; receiver < receivers; receiver++) {
    const count = counts[receiver]!;
    if (count === 0) continue;
    const select = positions.subarray(ends[receiver]! - count, ends[receiver]);
    shares.push({ receiver, select, count });
  }
  return shares;
}

/** The receivers of the first `count` entries of a dictionary. */
interface Coded {
  readonly entries: readonly string[];
  readonly receivers: Int32Array;
  readonly count: number;
}

/** Longer texts, and keys of several fields, are hashed once and remembered. */
const hashedUnitsMax = 48;
/** Asks the program. The function is the operator's behind the edge, and so is what becomes of bad rows. */
export class CustomPartitioner implements Partitioner {
  readonly #self: RejectingOperator;
  readonly #custom: CustomPartitioning;
  readonly #receivers: number;

  constructor(self: RejectingOperator, custom: CustomPartitioning, receivers: number) {
    this.#self = self;
    this.#custom = custom;
    this.#receivers = receivers;
  }

  split(batch: RecordBatch): Share[] {
    const rows = batch.rows();
    const receivers = new Int32Array(rows.length);
    for (let at = 0; at < rows.length; at++) {
      try {
        receivers[at] = this.#receiverOf(rows[at] as never);
      } catch (cause) {
        rejectRow(this.#self, "partitionCustom", batch, at, cause);
        receivers[at] = nobody;
      }
    }
    return sharesOf(receivers, this.#receivers);
  }

  #receiverOf(row: never): number {
    const { key, partition } = this.#custom;
    const receiver = partition(key(row) as never, this.#receivers);
    if (Number.isInteger(receiver) && receiver >= 0 && receiver < this.#receivers) return receiver;
    throw new RangeError(
      `The partition function gave ${String(receiver)}. Allowed: a whole number from 0 to ` +
        `${this.#receivers - 1}, one less than the subtasks it is told of.`,
    );
  }
}

/** Keys whose receiver is remembered; beyond, the memory starts anew. */
const rememberedKeysMax = 65_536;

export class HashPartitioner implements Partitioner {
  readonly #self: RejectingOperator;
  readonly #selector: KeySelector;
  readonly #fields: readonly string[] | undefined;
  readonly #codes: KeyCodes;
  readonly #receivers: number;
  readonly #maxParallelism: number;
  readonly #remembered = new Map<KeyId, number>();
  readonly #texts = new TextMemory();
  readonly #guess: KeyGuess;
  /** Of the latest dictionary: it may be that of many batches, and have grown since. */
  #coded: Coded = { entries: [], receivers: new Int32Array(0), count: 0 };

  constructor(options: {
    /** The operator behind the edge: the selector is its own, and so is what becomes of bad rows. */
    readonly uid: string;
    readonly reject?: Reject | undefined;
    readonly selector: KeySelector;
    readonly receivers: number;
    readonly maxParallelism: number;
  }) {
    this.#self = { uid: options.uid, reject: options.reject };
    this.#selector = options.selector;
    this.#fields = fieldsOf(options.selector);
    this.#codes = new KeyCodes(options.selector);
    this.#guess = new KeyGuess(options.selector);
    this.#receivers = options.receivers;
    this.#maxParallelism = options.maxParallelism;
  }

  split(batch: RecordBatch, held: RecordBatch = batch): Share[] {
    const fields = this.#fields;
    const receiverOfRow =
      fields !== undefined && isColumnar(held) && fields.every((each) => held.fields.includes(each))
        ? this.#ofColumns(batch, held, fields)
        : (this.#asGuessed(batch, held) ?? this.#ofRows(batch));
    return sharesOf(receiverOfRow, this.#receivers);
  }

  #ofColumns(batch: RecordBatch, held: ColumnarBatch, fields: readonly string[]): Int32Array {
    if (fields.length > 1) return this.#ofTuples(batch, held, fields);
    const column = held.column(fields[0]!, this.#texts);
    const present = column.kind === "nullable" ? column.present : column;
    if (present.kind !== "string" || present.dictionary === undefined) {
      return this.#ofKeys(batch, column.values);
    }
    const receivers = this.#ofDictionary(present.dictionary);
    if (column.kind === "nullable") this.#leaveOut(batch, column, receivers);
    return receivers;
  }

  #ofTuples(batch: RecordBatch, held: ColumnarBatch, fields: readonly string[]): Int32Array {
    const coded = this.#codes.of(held);
    if (coded !== undefined) {
      const ofKeys = Int32Array.from(coded.keys, (key) => this.#lookUp(key));
      return Int32Array.from(coded.codes, (code) => ofKeys[code]!);
    }
    const columns = fields.map((field) => held.column(field).values);
    const tuples = Array.from({ length: batch.length }, (_, row) =>
      columns.map((values): unknown => values[row]),
    );
    return this.#ofKeys(batch, tuples);
  }

  /** Rejects the rows without a key. */
  #leaveOut(
    batch: RecordBatch,
    { absent, values }: Extract<Column, { kind: "nullable" }>,
    receivers: Int32Array,
  ): void {
    for (let at = 0; at < receivers.length; at++) {
      if (!hasBit(absent.bits, at)) continue;
      rejectRow(this.#self, "keyBy", batch, at, noKey(values[at])!);
      receivers[at] = nobody;
    }
  }

  #asGuessed(batch: RecordBatch, held: RecordBatch): Int32Array | undefined {
    const dictionary = this.#guess.of(this.#guess.rowsOf(batch, this.#texts), held);
    return dictionary && this.#ofDictionary(dictionary);
  }

  #ofDictionary({ entries, codes, known }: Dictionary): Int32Array {
    const receivers = new Int32Array(codes.length);
    if (known === undefined) {
      const ofEntry = this.#ofEntries(entries);
      for (let i = 0; i < codes.length; i++) receivers[i] = ofEntry[codes[i]!]!;
    } else {
      const ofText = this.#ofEntries(known.of);
      for (let i = 0; i < codes.length; i++) receivers[i] = ofText[known.numbers[codes[i]!]!]!;
    }
    return receivers;
  }

  #ofRows(batch: RecordBatch): Int32Array {
    const rows = batch.rows();
    const select = this.#selector;
    const receivers = new Int32Array(rows.length);
    for (let at = 0; at < rows.length; at++) {
      try {
        for (; at < rows.length; at++) receivers[at] = this.#receiverOf(select(rows[at] as never));
      } catch (cause) {
        rejectRow(this.#self, "keyBy", batch, at, cause);
        receivers[at] = nobody;
      }
    }
    return receivers;
  }

  #ofKeys(batch: RecordBatch, keys: ArrayLike<unknown>): Int32Array {
    const receivers = new Int32Array(keys.length);
    for (let at = 0; at < keys.length; at++) {
      try {
        for (; at < keys.length; at++) receivers[at] = this.#receiverOf(keys[at]);
      } catch (cause) {
        rejectRow(this.#self, "keyBy", batch, at, cause);
        receivers[at] = nobody;
      }
    }
    return receivers;
  }

  #ofEntries(entries: readonly string[]): Int32Array {
    const isSame = this.#coded.entries === entries;
    let { receivers } = this.#coded;
    let count = isSame ? this.#coded.count : 0;
    if (receivers.length < entries.length) {
      const grown = new Int32Array(2 * entries.length);
      grown.set(receivers.subarray(0, count));
      receivers = grown;
    }
    for (; count < entries.length; count++) receivers[count] = this.#receiverOf(entries[count]);
    this.#coded = { entries, receivers, count };
    return receivers;
  }

  #receiverOf(key: unknown): number {
    // Hashing a short text takes no longer than finding it among a few thousand others, and half as
    // long as among a hundred thousand: that map is not in the processor's caches.
    if (typeof key === "string" ? key.length <= hashedUnitsMax : typeof key === "number") {
      return this.#ownerOf(key as Key);
    }
    const problem = noKey(key);
    if (problem !== undefined) throw problem;
    return this.#lookUp(key as Key);
  }

  #ownerOf(key: Key): number {
    return ownerOfGroup(
      keyGroupOf(key, this.#maxParallelism),
      this.#receivers,
      this.#maxParallelism,
    );
  }

  #lookUp(key: Key): number {
    const id = keyId(key);
    const known = this.#remembered.get(id);
    if (known !== undefined) return known;
    const receiver = this.#ownerOf(key);
    if (this.#remembered.size >= rememberedKeysMax) this.#remembered.clear();
    this.#remembered.set(id, receiver);
    return receiver;
  }
}

/** The error of what cannot be a key. */
function noKey(value: unknown): TypeError | undefined {
  const problem = keyProblem(value);
  return problem === undefined ? undefined : new TypeError(`The key ${problem}`);
}
