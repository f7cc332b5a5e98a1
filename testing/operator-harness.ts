// One operator, or a few, by hand: rows and watermarks in, one at a time, and what comes out.
//   H1. It is the operator of production, as one subtask, with its state, timers and event time; every
//       call is over when it returns, but for calls of functions that answer later: `answered` waits for these.
//   H2. A snapshot holds everything; a harness that is restored from it goes on like the first.

import type { Manifest } from "../format/manifest.ts";
import type { TimeSpan } from "../stream/duration.ts";
import { timeSpanOf } from "../stream/duration.ts";
import type { DataStream } from "../stream/data-stream.ts";
import { defineJob, type JobDefinition } from "../stream/job.ts";
import { shown } from "../stream/names.ts";
import { table } from "../stream/table.ts";
import { topic } from "../stream/topic.ts";
import { watermarks } from "../stream/watermarks.ts";
import { Cluster, World } from "./cluster.ts";

/** What is sent to the operators: a row with its event time, or a watermark. */
interface Sent {
  readonly at: number;
  readonly row?: unknown;
  readonly watermark?: number;
}

const input = topic<Sent>("harness", { partitions: 1 });

declare const held: unique symbol;

/** What a harness held at one moment. Opaque, and good for any number of `restore`s. */
export interface HarnessSnapshot {
  readonly [held]: true;
}

interface Held {
  readonly manifest: Manifest;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly sent: readonly Sent[];
  readonly now: number;
}

/** Operators under test. */
export interface OperatorHarness<T, R> {
  /** Processes one row. Its event time, in milliseconds, is that of the row before it where absent. */
  push(row: T, timestamp?: number): this;
  /** Event time comes to that point: timers and windows that are due fire. */
  watermark(time: number): this;
  /** Processing time passes, and its timers fire. */
  wait(span: TimeSpan): this;
  /**
   * Waits for functions that answer later, until all that were called have answered, or none does for 50 ms by
   * the real clock: the time of such a call is over by `wait`.
   */
  answered(): Promise<this>;
  /** What was emitted since the last call, in order. */
  take(): R[];
  /** Everything that the operators hold. */
  snapshot(): HarnessSnapshot;
  /** Another harness with the same operators, which holds what this one did then. */
  restore(snapshot: HarnessSnapshot): OperatorHarness<T, R>;
}

/**
 * Puts operators on a stream of rows that a test pushes by hand.
 *
 * @example
 * const harness = operatorHarness((flights: DataStream<Flight>) =>
 *   flights.keyBy("origin").aggregate({ worst: max("delay") }, { uid: "worst" }),
 * );
 * harness.push({ origin: "BOS", delay: 3 });
 * expect(harness.take()).toEqual([{ key: "BOS", worst: 3 }]);
 * const again = harness.restore(harness.snapshot());
 */
export function operatorHarness<T, R>(
  build: (rows: DataStream<T>) => DataStream<R>,
): OperatorHarness<T, R> {
  return new Harness<T, R>(build);
}

class Harness<T, R> implements OperatorHarness<T, R> {
  readonly #build: (rows: DataStream<T>) => DataStream<R>;
  readonly #world = new World();
  readonly #cluster: Cluster;
  readonly #sent: Sent[] = [];
  #emitted: R[] = [];

  constructor(build: (rows: DataStream<T>) => DataStream<R>, from?: Held) {
    this.#build = build;
    if (from !== undefined) {
      this.#world.now = from.now;
      this.#world.checkpoints = from.manifest.checkpoint;
      for (const [path, bytes] of from.files) this.#world.files.set(path, bytes);
      for (const sent of from.sent) this.#append(sent);
    }
    this.#cluster = new Cluster(this.#world, {
      definition: this.#definition(),
      parallelism: 1,
      ...(from && { restore: from.manifest }),
    });
  }

  push(row: T, timestamp = this.#at): this {
    if (!Number.isFinite(timestamp)) {
      throw refusal("push", timestamp, "the event time of the row, in milliseconds since 1970");
    }
    this.#append({ at: timestamp, row });
    return this.#settled();
  }

  watermark(time: number): this {
    if (typeof time !== "number" || Number.isNaN(time)) {
      throw refusal("watermark", time, "milliseconds since 1970, or Infinity for the end of time");
    }
    this.#append({ at: this.#at, watermark: time });
    return this.#settled();
  }

  wait(span: TimeSpan): this {
    const millis = timeSpanOf(span);
    if (millis === undefined) {
      throw refusal("wait", span, `milliseconds, or a text such as "500 ms" or "10 min"`);
    }
    this.#cluster.pass(millis);
    return this;
  }

  async answered(): Promise<this> {
    await this.#cluster.settled(0);
    return this;
  }

  take(): R[] {
    const taken = this.#emitted;
    this.#emitted = [];
    return taken;
  }

  snapshot(): HarnessSnapshot {
    const manifest = this.#cluster.checkpoint({ isAligned: true });
    this.#cluster.complete(manifest);
    const { files, now } = this.#world;
    const snapshot: Held = { manifest, files: new Map(files), sent: [...this.#sent], now };
    return snapshot as unknown as HarnessSnapshot;
  }

  restore(snapshot: HarnessSnapshot): OperatorHarness<T, R> {
    return new Harness<T, R>(this.#build, snapshot as unknown as Held);
  }

  /** Event time of the latest row. */
  get #at(): number {
    return this.#sent.at(-1)?.at ?? 0;
  }

  /** Each by itself: a batch is one row, or one watermark. */
  #append(sent: Sent): void {
    this.#sent.push(sent);
    this.#world.append(input.name, 0, [sent]);
  }

  #settled(): this {
    this.#cluster.settle(0);
    return this;
  }

  #definition(): JobDefinition {
    const take = (row: R): { key: number; row: R } => {
      this.#emitted.push(row);
      return { key: 0, row };
    };
    return defineJob(
      "harness",
      (env) => {
        const rows = env
          .from(input, { uid: "harness-in", watermarks: asSent })
          .flatMap((sent) => ("row" in sent ? [sent.row as T] : []), { uid: "harness-rows" });
        this.#build(rows)
          .map(take, { uid: "harness-out" })
          .to(table("harness"), { uid: "harness-end" });
      },
      { parallelism: 1, bufferTimeout: 0 },
    );
  }
}

const refusal = (method: string, given: unknown, allowed: string): RangeError =>
  new RangeError(`${method} was given ${shown(given)}. Allowed: ${allowed}.`);

const asSent = watermarks<Sent, number>({
  timestamp: ({ at }) => at,
  create: () => -Infinity,
  onRow: (known, _, { watermark = known }) => Math.max(known, watermark),
  watermark: (known) => known,
});
