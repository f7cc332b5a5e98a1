// What a subtask does once it has sent the barrier of a savepoint that stops the job: a source about event
// time, one that makes calls about their answers, and either when the stop has failed.

import { describe, expect, test } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { encodeRows } from "../../format/batch.ts";
import {
  decodeFrame,
  encodeBarrier,
  encodeData,
  encodeWatermark,
  endOfTime,
  never,
} from "../../format/frame.ts";
import { attempt, checkpointId, jobIdFrom, millis, seq } from "../../format/ids.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";
import { boundedOutOfOrderness, defineJob, table, topic } from "tidemark";

const { graph } = defineJob(
  "readings",
  (env) => {
    env
      .from(topic<{ sensor: string; at: number }>("readings", { partitions: 1 }), {
        uid: "readings",
        watermarks: boundedOutOfOrderness(0, { timestamp: "at", idleness: 100 }),
      })
      .rebalance()
      .to(table("latest", { key: (row) => row.sensor }), { uid: "latest" });
  },
  { bufferTimeout: 0, checkpointing: { interval: 1_000 } },
);

const stop = { folder: "savepoints/s", stops: true } as const;

/** The subtask that reads the topic. What it sent is told by kind, event time by how far it came. */
class Source {
  readonly task: Task;
  readonly sent: unknown[] = [];

  constructor() {
    const plan = planOf(graph);
    const vertex = plan.vertices.find(({ operators }) => operators.includes("readings"))!;
    const task = { vertex: vertex.id, index: 0 };
    const job = jobIdFrom(new Uint8Array(16));
    const deployment = { job, attempt: attempt(1), task, plan, config: graph.config };
    this.task = new Task(deployment, graph, undefined, millis(0));
    this.perform(this.task.start(millis(0)));
  }

  connect(): this {
    this.perform(this.task.reopened(0, seq(0), millis(0)));
    return this;
  }

  read(at: number): this {
    const bytes = encodeRows([{ sensor: "a", at }]);
    this.perform(this.task.sourceBatches(0, [{ first: 0, count: 1, bytes } as never], millis(0)));
    return this;
  }

  /** Rows and event time that wait for room: the channel is not open yet. */
  static withTimeOnItsWay(): Source {
    return new Source().read(50);
  }

  perform(effects: readonly TaskEffect[]): void {
    for (const effect of effects) {
      if (effect.kind !== "push") continue;
      const frame = decodeFrame(effect.frame);
      this.sent.push(frame.kind === "watermark" ? frame : frame.kind);
    }
  }
}

const waiting = { kind: "watermark", time: 49, isIdle: false };

describe("event time behind the barrier of a savepoint that stops the job (A9)", () => {
  test("stays where it is until that has failed", () => {
    const source = Source.withTimeOnItsWay();
    source.perform(source.task.trigger(checkpointId(1), millis(1), stop));
    source.connect();
    expect(source.sent).toEqual(["data", "barrier"]);
    source.perform(source.task.notifyAborted(checkpointId(1), millis(2)));
    expect(source.sent).toEqual(["data", "barrier", waiting]);
  });

  test("goes on behind the barrier of a newer checkpoint", () => {
    const source = Source.withTimeOnItsWay();
    source.perform(source.task.trigger(checkpointId(1), millis(1), stop));
    source.connect();
    source.perform(source.task.trigger(checkpointId(2), millis(2)));
    expect(source.sent).toEqual(["data", "barrier", "barrier", waiting]);
  });

  test("comes to its end before the barrier of a newer one that drains", () => {
    const source = Source.withTimeOnItsWay();
    source.perform(source.task.trigger(checkpointId(1), millis(1), stop));
    source.connect();
    const drain = { ...stop, drains: true } as const;
    source.perform(source.task.trigger(checkpointId(2), millis(2), drain));
    const end = { kind: "watermark", time: endOfTime, isIdle: false };
    expect(source.sent).toEqual(["data", "barrier", end, "barrier"]);
  });

  test("is not said to be idle, and nobody is woken for that", () => {
    const source = new Source().connect().read(50);
    source.perform(source.task.trigger(checkpointId(1), millis(1), stop));
    expect(source.sent).toEqual(["data", waiting, "barrier"]);
    expect(source.task.wakeAt).toBeUndefined();
    source.perform(source.task.tick(millis(100)));
    expect(source.sent).toHaveLength(3);
    source.perform(source.task.notifyAborted(checkpointId(1), millis(101)));
    expect(source.sent.slice(3)).toEqual([{ ...waiting, isIdle: true }]);
  });
});

const { graph: asking } = defineJob(
  "asking",
  (env) => {
    env
      .from(topic<{ sensor: string; at: number }>("readings", { partitions: 1 }), {
        uid: "readings",
        watermarks: boundedOutOfOrderness(0, { timestamp: "at" }),
      })
      .rebalance()
      .asyncMap((row) => Promise.resolve(row), { uid: "asked" })
      .rebalance()
      .to(table("latest", { key: (row) => row.sensor }), { uid: "latest" });
  },
  { bufferTimeout: 0, checkpointing: { interval: 1_000 } },
);

/** The subtask that makes calls. What it sent is told by kind, event time by how far it came. */
class Asking {
  readonly task: Task;
  sent: unknown[] = [];
  #received = 0;
  #asked: number[] = [];

  constructor() {
    const plan = planOf(asking);
    const vertex = plan.vertices.find(({ operators }) => operators.includes("asked"))!;
    const task = { vertex: vertex.id, index: 0 };
    const job = jobIdFrom(new Uint8Array(16));
    const deployment = { job, attempt: attempt(1), task, plan, config: asking.config };
    this.task = new Task(deployment, asking, undefined, millis(0));
    this.perform(this.task.start(millis(0)));
    this.perform(this.task.reopened(0, seq(0), millis(0)));
  }

  receive(frame: Uint8Array): this {
    this.perform(this.task.receive(0, seq(this.#received++), frame, millis(0)).effects);
    return this;
  }

  read(at: number): this {
    return this.receive(encodeData(encodeRows([{ sensor: "a", at }])));
  }

  barrier(checkpoint: number, purpose?: typeof stop): this {
    return this.receive(encodeBarrier(checkpointId(checkpoint), never, purpose));
  }

  /** Every call that was asked for has its answer. */
  answer(): this {
    const answers = this.#asked.map((id) => ({ id, value: { sensor: "a", at: id } }));
    this.#asked = [];
    this.perform(this.task.answered("asked", answers, millis(0)));
    return this;
  }

  perform(effects: readonly TaskEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "call") this.#asked.push(...effect.calls.map(({ id }) => id));
      if (effect.kind !== "push") continue;
      const frame = decodeFrame(effect.frame);
      this.sent.push(frame.kind === "watermark" ? frame : frame.kind);
    }
  }
}

describe("what was answered behind the barrier of a savepoint that stops the job (A9)", () => {
  test("waits until that has failed", () => {
    const asking = new Asking().read(1).barrier(1, stop).answer();
    expect(asking.sent).toEqual(["barrier"]);
    asking.perform(asking.task.notifyAborted(checkpointId(1), millis(1)));
    expect(asking.sent).toEqual(["barrier", "data"]);
  });

  test("goes on when the barrier of a newer checkpoint has come", () => {
    const asking = new Asking().read(1).barrier(1, stop).answer().barrier(2);
    expect(asking.sent).toEqual(["barrier", "data", "barrier"]);
  });

  test("goes on once others do, though nobody has told that the stop has failed", () => {
    const asking = new Asking().read(1).barrier(1, stop).answer().read(2);
    expect(asking.sent).toEqual(["barrier", "data"]);
    asking.answer();
    expect(asking.sent).toEqual(["barrier", "data", "data"]);
    expect(asking.task.activity.stopped).toBeUndefined();
  });

  test("waits for good once the stop is complete, whatever others tell again", () => {
    const asking = new Asking().read(1).barrier(1, stop).answer();
    asking.perform(asking.task.notifyComplete(checkpointId(1), millis(1)));
    asking.receive(encodeWatermark({ time: 0, isIdle: false }));
    expect(asking.sent).toEqual(["barrier"]);
    expect(asking.task.activity.stopped).toEqual({ checkpoint: 1, isCommitted: true });
  });

  test("goes on with event time that others bring", () => {
    const watermark = { time: 49, isIdle: false };
    const asking = new Asking().barrier(1, stop).receive(encodeWatermark(watermark));
    expect(asking.sent).toEqual(["barrier", { kind: "watermark", ...watermark }]);
  });
});
