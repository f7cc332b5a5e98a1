// The source at the head of a chain: the partitions of a topic or a generator, the event times of its
// rows, and whether it may be read now. What it gives, the task processes (task.ts).
//   R1. A source that never waits for input keeps everybody busy without a pause: where objects share a
//       thread no alarm fires and no request is heard as long as one of them has something to do. So
//       after a number of rows (source-turn.ts) it takes none until the next turn, whatever is settled
//       meanwhile: that of the timer, or of a checkpoint that is complete; alarms are heard then, and
//       where very many subtasks take part in one checkpoint after the other, nobody hears the timer.
//   R2. What may not be read yet, as it is ahead of others (source-alignment.ts), is nothing to do here:
//       the task may rest, and is woken when it may go on. Barriers and the end do not wait for it.
//   R3. A source at its end says so by the end of time, whether its rows have event times or not.
//   R4. Event time comes behind the rows that have raised it, and as far as the splits allow
//       (split-watermarks.ts). Where it stands within a batch, the rest of the batch is behind it.
//   R5. What was read and what splits know is state of the operator at the head.

import { endOfTime, never, type Watermark } from "../format/frame.ts";
import type { Millis } from "../format/ids.ts";
import type { AlignmentStanding, StoredBatch, TaskDeployment } from "../format/messages.ts";
import { vertexOf } from "../format/plan.ts";
import { decodeBatch } from "../format/batch.ts";
import { type GeneratorProgress, GeneratorReader } from "../connectors/generator-source.ts";
import {
  type SourceBatch,
  type SplitRead,
  type TopicOffsets,
  TopicSource,
} from "../connectors/topic-source.ts";
import { AnnotatedBatch } from "../operators/annotated-batch.ts";
import type { RecordBatch } from "../operators/operator.ts";
import { Lineage } from "../operators/rejection.ts";
import { RowBatch } from "../operators/row-batch.ts";
import {
  furthestBehind,
  type SplitProgress,
  SplitWatermarks,
} from "../operators/split-watermarks.ts";
import { type OperatorStateStore, plainElements } from "../operators/state/operator-state.ts";
import type { GraphNode } from "../stream/graph.ts";
import { SourceAlignment } from "./source-alignment.ts";
import { SourceTurn } from "./source-turn.ts";

/** A batch that was read. */
export interface ReadBatch {
  readonly rows: RecordBatch;
  readonly split: number;
  /** Of a topic; a generator's rows have none. */
  readonly bytes: number;
}

/** Rows of a batch, and how far event time is behind them where they have event times. */
export interface TimedRows {
  readonly rows: RecordBatch;
  readonly watermark: Watermark | undefined;
}

export interface TaskSourceOptions {
  readonly deployment: TaskDeployment;
  /** At the head of the chain. */
  readonly node: GraphNode;
  readonly store: OperatorStateStore;
  /** Among whom its rows are divided. */
  readonly receivers: number;
  /** Whether a dead letter may have to name the record it comes from. */
  readonly needsLineage: boolean;
  readonly now: Millis;
}

export class TaskSource {
  readonly #topic: { readonly name: string; readonly reader: TopicSource } | undefined;
  readonly #generator: GeneratorReader | undefined;
  /** Where rows have event times. */
  readonly #times: SplitWatermarks | undefined;
  /** Where it keeps in step with others (R2). */
  readonly #alignment: SourceAlignment | undefined;
  readonly #turn: SourceTurn;
  readonly #needsLineage: boolean;

  /** The source of a subtask; undefined where others send all of its rows. */
  static of(options: TaskSourceOptions): TaskSource | undefined {
    const { kind } = options.node.spec;
    return kind === "source" || kind === "generator" ? new TaskSource(options) : undefined;
  }

  private constructor(options: TaskSourceOptions) {
    const { deployment, receivers, needsLineage } = options;
    this.#needsLineage = needsLineage;
    this.#turn = new SourceTurn(deployment.config.bufferTimeout, receivers);
    this.#topic = this.#topicOf(options);
    this.#generator = generatorOf(options);
    this.#times = this.#timesOf(options);
    this.#alignment = this.#alignmentOf(options);
  }

  /** The attempt begins; how far event time has come, where that is known. */
  start(now: Millis): Watermark | undefined {
    this.#times?.started(now);
    return this.advance();
  }

  // Rows.

  /** The next batch, where it may be read now. */
  take(now: Millis): ReadBatch | undefined {
    if (this.#turn.isOver || this.#isAhead) return undefined;
    const read = this.#topic === undefined ? this.#made(now) : this.#stored(this.#topic);
    if (read !== undefined) this.#turn.took(read.rows.length, now);
    return read;
  }

  /** The rows of a batch in parts; the next is asked for when the one before is through (R4). */
  timed({ rows, split }: ReadBatch, now: Millis): Iterable<TimedRows> {
    if (this.#times === undefined) return [{ rows, watermark: undefined }];
    return this.#times.timed(rows, split, now);
  }

  /** Whether rows have event times. */
  get isTimed(): boolean {
    return this.#times !== undefined;
  }

  /** Whether event time may come further behind any row of a batch. */
  get isPunctuated(): boolean {
    return this.#times?.isPunctuated === true;
  }

  /** The next turn begins, as the timer rings (R1). */
  nextTurn(now: Millis): void {
    this.#turn.next(now);
  }

  /** It begins before the timer rings. */
  goOn(): void {
    this.#turn.goOn();
  }

  /** Whether rows that were read wait to be taken, whosever turn it is. */
  get hasNext(): boolean {
    return this.#topic?.reader.hasNext === true;
  }

  /** When a generator has rows, whosever turn it is; `never` where it has none by itself. */
  readyAt(now: Millis): number {
    return this.#isAhead ? never : (this.#generator?.readyAt(now) ?? never);
  }

  /** When there is something to do without anything coming: rows of a generator, the next turn. */
  wakeAt(now: Millis): number {
    if (this.#topic !== undefined) return this.#turn.isOver ? now : never;
    return this.readyAt(now);
  }

  /** Whether there is nothing to do until something comes: records, or word of others. */
  get isSettled(): boolean {
    return (
      (this.#topic?.reader.isAtEnd ?? true) &&
      (this.#generator === undefined || this.#generator.isAtEnd || this.#isAhead) &&
      (this.#alignment?.isSettled ?? true)
    );
  }

  // The partitions of a topic.

  /** Reads that should begin now. */
  wanted(): readonly SplitRead[] {
    return this.#topic?.reader.wanted() ?? [];
  }

  received(partition: number, batches: readonly StoredBatch[]): void {
    this.#topic?.reader.received(partition, batches);
  }

  appended(partition: number): void {
    this.#topic?.reader.appended(partition);
  }

  /** Records that were not taken, where that is known. */
  get pending(): number | undefined {
    return this.#topic?.reader.pending;
  }

  /** Where it waits for more, by partition. */
  get ends(): readonly SplitRead[] {
    return this.#topic?.reader.ends ?? [];
  }

  // Event time.

  /** How far event time has come behind all that was read, its end included (R3). */
  advance(): Watermark | undefined {
    this.#endSplits();
    const watermark = this.#times?.advance();
    if (this.#generator?.isAtEnd === true) return { time: endOfTime, isIdle: false };
    return watermark;
  }

  /** When the next split is to be waited for no longer. */
  get idleAt(): number | undefined {
    return this.#times?.idleAt;
  }

  /** By the clock; undefined where nothing has changed by it. */
  tick(now: Millis): Watermark | undefined {
    if (this.#times === undefined || (this.idleAt ?? never) > now) return undefined;
    this.#times.tick(now);
    return this.#times.watermark;
  }

  // In step with others.

  /** When there is something to tell. */
  get reportsAt(): number | undefined {
    return this.#alignment?.reportsAt;
  }

  report(now: Millis): AlignmentStanding | undefined {
    return this.#alignment?.report(now);
  }

  /** The answer to a report. */
  reported(least: number | undefined, now: Millis): void {
    this.#alignment?.answered(least, now);
  }

  /** How far the last of its group has come; undefined: it is asked where this one stands. */
  align(least: number | undefined, now: Millis): void {
    if (least === undefined) this.#alignment?.asked();
    else this.#alignment?.came(least, now);
  }

  /** Milliseconds by which it is ahead of the last of its group; undefined while unknown. */
  get drift(): number | undefined {
    return this.#alignment?.drift;
  }

  /** Of a generator, whose subtasks are one split each. A topic's reader holds its partitions by itself. */
  get #isAhead(): boolean {
    return this.#generator !== undefined && this.#times?.isAhead(0) === true;
  }

  /** Splits of a generator have an end; what is left to catch up holds event time (N2 there). */
  #endSplits(): void {
    const times = this.#times;
    if (times === undefined || this.#generator === undefined) return;
    if (this.#generator.isAtEnd) times.ended(0);
    else if (times.isHeld) times.isHeld = this.#generator.isCatchingUp;
  }

  #made(now: Millis): ReadBatch | undefined {
    const rows = this.#generator!.take(now, this.#turn.batchRows);
    return rows && { rows, split: 0, bytes: 0 };
  }

  #stored({
    name,
    reader,
  }: {
    readonly name: string;
    readonly reader: TopicSource;
  }): ReadBatch | undefined {
    const stored = reader.take();
    if (stored === undefined) return undefined;
    const { partition: split, skip, bytes } = stored;
    const batch = decodeBatch(bytes);
    const lineage = this.#needsLineage ? lineageOf(name, stored) : undefined;
    const rows =
      skip > 0
        ? new RowBatch(batch.rows().slice(skip), lineage)
        : lineage === undefined
          ? batch
          : new AnnotatedBatch(batch, { lineage });
    return { rows, split, bytes: bytes.length };
  }

  #topicOf({ deployment, node, store }: TaskSourceOptions) {
    const { plan, task } = deployment;
    const { source, parallelism } = vertexOf(plan, task.vertex);
    if (node.spec.kind !== "source" || source === undefined) return undefined;
    const restored = store.register("offsets", {
      redistribution: "union",
      schema: plainElements,
      elements: () => reader.snapshot(),
      bytes: () => 0,
    });
    const reader = new TopicSource({
      partitions: source.partitions,
      index: task.index,
      parallelism,
      restored: restored as TopicOffsets,
      isHeld: (partition) => this.#times?.isAhead(partition) === true,
    });
    return { name: source.topic, reader };
  }

  #timesOf({ node: { uid, spec }, store }: TaskSourceOptions): SplitWatermarks | undefined {
    if (spec.kind !== "source" && spec.kind !== "generator") return undefined;
    if (spec.watermarks === undefined) return undefined;
    const restored = store.register("watermarks", {
      redistribution: "union",
      schema: plainElements,
      elements: () => times.snapshot(),
      bytes: () => 0,
    }) as readonly SplitProgress[];
    const isTopic = this.#topic !== undefined;
    const times: SplitWatermarks = new SplitWatermarks(
      uid,
      spec.watermarks,
      this.#topic?.reader.partitions ?? [0],
      isTopic ? restored : furthestBehind(restored),
    );
    times.isHeld = this.#generator?.isCatchingUp === true;
    return times;
  }

  #alignmentOf({ node: { spec }, now }: TaskSourceOptions): SourceAlignment | undefined {
    const { alignment } = ("watermarks" in spec ? spec.watermarks : undefined) ?? {};
    if (alignment === undefined || this.#times === undefined) return undefined;
    return new SourceAlignment(alignment, this.#times, now);
  }
}

function generatorOf({
  deployment: { plan, task },
  node: { uid, spec },
  store,
}: TaskSourceOptions): GeneratorReader | undefined {
  if (spec.kind !== "generator") return undefined;
  const restored = store.register("progress", {
    redistribution: "union",
    schema: plainElements,
    elements: () => reader.snapshot(),
    bytes: () => 0,
  });
  const { parallelism } = vertexOf(plan, task.vertex);
  const of = { index: task.index, parallelism, restored: restored as GeneratorProgress };
  const reader = new GeneratorReader(uid, spec.generator, of);
  return reader;
}

function lineageOf(topic: string, { partition, first, count, skip }: SourceBatch): Lineage {
  const offsets = Array.from({ length: count - skip }, (_, row) => first + skip + row);
  return new Lineage(topic, partition, offsets);
}
