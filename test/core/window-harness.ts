// One window operator as a job defines it, with nobody around it: rows, watermarks and the clock are the
// test's, and so is the snapshot that another one begins with.

import { allKeyGroups } from "../../format/key-groups.ts";
import { checkpointId } from "../../format/ids.ts";
import { readSegment, writeSegment } from "../../format/segment.ts";
import { createOperator } from "../../operators/create.ts";
import {
  type EventTimeOperator,
  isEventTimed,
  isTimed,
  type Operator,
  type RecordBatch,
  type TimedOperator,
} from "../../operators/operator.ts";
import type { Rejected } from "../../operators/rejection.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import type { StateBackend } from "../../operators/state/backend.ts";
import {
  boundedOutOfOrderness,
  type DataStream,
  defineJob,
  type JobGraph,
  type KeyedStream,
  table,
  topic,
} from "tidemark";
import { OperatorStates } from "../../task/operator-state.ts";
import { type NamedBackend, stateBackends } from "./state-backends.ts";

/** A row: its key, a number, and when it was. */
export interface Item {
  readonly k: string;
  readonly v: number;
  readonly at: number;
}

export const item = (k: string, at: number, v = 1): Item => ({ k, v, at });

export type Items = KeyedStream<Item, string>;
export type Windows = (items: Items) => DataStream<unknown>;

export interface Told {
  readonly row: unknown;
  /** NaN for none. */
  readonly at: number;
}

const maxParallelism = 16;

export const graphOf = (windows: Windows): JobGraph =>
  defineJob("job", (env) => {
    const items = env.from(topic<Item>("items"), {
      uid: "items",
      watermarks: boundedOutOfOrderness(0, { timestamp: "at" }),
    });
    windows(items.keyBy("k")).to(table("out", { key: (row) => JSON.stringify(row) }), {
      uid: "out",
    });
  }).graph;

export interface HarnessOptions {
  readonly backend?: NamedBackend;
  readonly from?: ReadonlyMap<string, Uint8Array>;
  readonly watermark?: number;
  readonly now?: number;
  readonly reject?: (rejected: Rejected) => void;
}

export class WindowHarness {
  readonly backend: StateBackend;
  readonly operator: Operator & Partial<EventTimeOperator & TimedOperator>;
  readonly #told: Told[] = [];
  readonly #sides: (Told & { readonly tag: string })[] = [];
  /** What was emitted, batch by batch. */
  readonly batches: RecordBatch[] = [];
  #watermark: number;
  #now: number;

  constructor(windows: Windows, options: HarnessOptions = {}) {
    const { backend = stateBackends[0]!, from, watermark = -Infinity, now = 0, reject } = options;
    this.backend = backend.open({ maxParallelism });
    this.#watermark = watermark;
    this.#now = now;
    const store = this.backend.store("op");
    for (const [name, bytes] of from ?? []) {
      const range = allKeyGroups(maxParallelism);
      store.restore(name, [{ segments: [readSegment(bytes)], range }]);
    }
    const node = graphOf(windows).nodes.find(({ spec }) => spec.kind === "window")!;
    this.operator = createOperator(node, {
      uid: "op",
      operatorState: new OperatorStates([]).store("op"),
      state: store,
      subtask: { index: 0, parallelism: 1 },
      now: () => this.#now,
      watermark: () => this.#watermark,
      reject,
    });
    store.restoreRest();
  }

  readonly #out = {
    emit: (batch: RecordBatch, tag?: string): void => {
      const { timestamps } = batch;
      const told = batch.rows().map((row, i) => ({ row, at: timestamps?.[i] ?? NaN }));
      if (tag === undefined) {
        this.batches.push(batch);
        this.#told.push(...told);
      } else {
        this.#sides.push(...told.map((one) => ({ tag, ...one })));
      }
    },
  };

  push(...items: readonly Item[]): this {
    const times = Float64Array.from(items, ({ at }) => at);
    return this.batch(new RowBatch(items, undefined, times));
  }

  batch(batch: RecordBatch): this {
    this.operator.processBatch(batch, this.#out, 0);
    return this;
  }

  watermark(time: number): this {
    this.#watermark = time;
    if (isEventTimed(this.operator)) while (!this.operator.advance(time, this.#out));
    return this;
  }

  clock(now: number): this {
    this.#now = now;
    if (!isTimed(this.operator)) return this;
    while ((this.operator.nextTimerAt ?? Infinity) <= now) this.operator.fireTimers(now, this.#out);
    return this;
  }

  /** What was told since it was last asked, in order. */
  told(): Told[] {
    return this.#told.splice(0);
  }

  /** What went to side outputs since it was last asked, in order. */
  aside(): (Told & { readonly tag: string })[] {
    return this.#sides.splice(0);
  }

  /** Entries of all tables. */
  get entries(): number {
    let entries = 0;
    for (const each of this.backend.store("op").tables().values()) entries += each.size;
    return entries;
  }

  #checkpoints = 0;

  snapshot(): ReadonlyMap<string, Uint8Array> {
    const segments = new Map<string, Uint8Array>();
    for (const [state, each] of this.backend.store("op").tables()) {
      const header = {
        uid: "op",
        state,
        kind: "full",
        maxParallelism,
        schema: each.schema,
      } as const;
      segments.set(state, writeSegment(header, each.freeze("full")));
    }
    this.backend.sealed(checkpointId(++this.#checkpoints));
    return segments;
  }
}
