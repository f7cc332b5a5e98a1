// Which receiver a row goes to, one class per kind of edge.
//   P1. A key goes to the subtask that owns its key group, whoever sends it.
//   P2. Rebalancing deals rows out in turn, whatever batches they come in.
//   P3. Broadcasting sends every row to every receiver, in the same order to each.

import { type Key, keyId, type KeyId, keyProblem } from "../format/key.ts";
import { keyGroupOf, ownerOfGroup } from "../format/key-groups.ts";
import {
  type Lineage,
  type Reject,
  rejectRow,
  type RejectingOperator,
} from "../operators/rejection.ts";
import { RowBatch } from "../operators/row-batch.ts";
import type { KeySelector } from "../stream/graph.ts";

export interface Partitioner {
  /** Calls `send` for every row, in order, with the position of its receiver. */
  split(
    rows: readonly unknown[],
    send: (receiver: number, row: unknown) => void,
    lineage?: Lineage,
  ): void;
}

export const forward: Partitioner = {
  split(rows, send) {
    for (const row of rows) send(0, row);
  },
};

export class RebalancePartitioner implements Partitioner {
  readonly #receivers: number;
  #turn: number;

  /** @param first where to begin, so that several senders do not all begin with the same receiver. */
  constructor(receivers: number, first: number) {
    this.#receivers = receivers;
    this.#turn = first % receivers;
  }

  split(rows: readonly unknown[], send: (receiver: number, row: unknown) => void): void {
    for (const row of rows) {
      send(this.#turn, row);
      if (++this.#turn === this.#receivers) this.#turn = 0;
    }
  }
}

export class BroadcastPartitioner implements Partitioner {
  readonly #receivers: number;

  constructor(receivers: number) {
    this.#receivers = receivers;
  }

  split(rows: readonly unknown[], send: (receiver: number, row: unknown) => void): void {
    for (let receiver = 0; receiver < this.#receivers; receiver++) {
      for (const row of rows) send(receiver, row);
    }
  }
}

/** Keys whose receiver is remembered; beyond, the memory starts anew. */
const rememberedKeysMax = 65_536;

export class HashPartitioner implements Partitioner {
  readonly #self: RejectingOperator;
  readonly #selector: KeySelector;
  readonly #receivers: number;
  readonly #maxParallelism: number;
  readonly #remembered = new Map<KeyId, number>();

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
    this.#receivers = options.receivers;
    this.#maxParallelism = options.maxParallelism;
  }

  split(
    rows: readonly unknown[],
    send: (receiver: number, row: unknown) => void,
    lineage?: Lineage,
  ): void {
    for (let at = 0; at < rows.length; at++) {
      let receiver: number;
      try {
        receiver = this.#receiverOf(rows[at]);
      } catch (cause) {
        rejectRow(this.#self, "keyBy", new RowBatch(rows, lineage), at, cause);
        continue;
      }
      send(receiver, rows[at]);
    }
  }

  #receiverOf(row: unknown): number {
    const key: unknown = this.#selector(row as never);
    // Strings that begin with the escape character are rare, and all others are their own id.
    if (typeof key === "string" && key.charCodeAt(0) !== 0) {
      const known = this.#remembered.get(key);
      if (known !== undefined) return known;
    }
    const problem = keyProblem(key);
    if (problem !== undefined) throw new TypeError(`The key ${problem}`);
    return this.#lookUp(key as Key);
  }

  #lookUp(key: Key): number {
    const id = keyId(key);
    const known = this.#remembered.get(id);
    if (known !== undefined) return known;
    const group = keyGroupOf(key, this.#maxParallelism);
    const receiver = ownerOfGroup(group, this.#receivers, this.#maxParallelism);
    if (this.#remembered.size >= rememberedKeysMax) this.#remembered.clear();
    this.#remembered.set(id, receiver);
    return receiver;
  }
}
