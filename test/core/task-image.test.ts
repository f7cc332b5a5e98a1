// A task that is replaced by what its image makes of it goes on exactly as one that was not.

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { decodeRows, encodeRows } from "../../format/batch.ts";
import { FormatError } from "../../format/format-error.ts";
import { decodeFrame, encodeBarrier, encodeData } from "../../format/frame.ts";
import {
  attempt,
  type CheckpointId,
  checkpointId,
  jobIdFrom,
  millis,
  seq,
} from "../../format/ids.ts";
import { imagePartBytesMax } from "../../format/limits.ts";
import type { CheckpointAck, TaskDeployment } from "../../format/messages.ts";
import { readSegment } from "../../format/segment.ts";
import { blobOf, type SqlDatabase } from "../../format/sql.ts";
import type { BytesHandle } from "../../format/state-handle.ts";
import {
  count,
  defineJob,
  type JobDefinition,
  listState,
  mapState,
  rows,
  table,
  topic,
  valueState,
} from "../../stream/index.ts";
import { ImageRows } from "../../task/image.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";
import { testDatabase } from "./state-backends.ts";

interface Row {
  readonly key: string;
  readonly n: number;
}

type Uid = "fold" | "sum";
type Backend = "memory" | "sqlite";

/** One subtask of the vertex that is tried, so that every key is its own, and two of the others. */
const jobOf = (
  tried: Uid,
  { version = 1, ttl }: { readonly version?: 1 | 2; readonly ttl?: "1 s" } = {},
): JobDefinition =>
  defineJob(
    "image",
    (env) => {
      env
        .from(topic<Row>("rows", { partitions: 2 }), { uid: "rows" })
        .keyBy((row) => row.key)
        .process(
          {
            state: {
              seen: mapState<number, number>(),
              recent: listState<number>(ttl === undefined ? {} : { ttl }),
              last: valueState<number>(
                version === 1 ? {} : { version, migrate: (old) => Number(old) + 1_000 },
              ),
            },
            emits: rows<Row>(),
            process({ key, n }, ctx) {
              const { seen, recent, last } = ctx.state;
              // Even numbers come and go, so that removed entries are among the changes.
              if (n % 2 === 0 && seen.has(n)) seen.delete(n);
              else seen.set(n, (seen.get(n) ?? 0) + 1);
              recent.add(n);
              if (recent.get().length > 3) recent.clear();
              ctx.emit({ key, n: (last.get() ?? 0) * 31 + n });
              last.set(n);
            },
          },
          { uid: "fold", parallelism: tried === "fold" ? 1 : 2 },
        )
        .keyBy((row) => `${row.key}-${row.n % 5}`)
        .aggregate({ n: count() }, { uid: "sum", parallelism: tried === "sum" ? 1 : 2 })
        .to(table("sums"), { uid: "out" });
    },
    { parallelism: 2, bufferTimeout: 0, checkpointing: { interval: 100, inlineThreshold: 50_000 } },
  );

function deploymentOf(
  uid: Uid | "rows",
  backend: Backend,
  { graph }: JobDefinition,
): TaskDeployment {
  const config = { ...graph.config, state: { ...graph.config.state, backend } };
  const plan = planOf(graph, config);
  const vertex = plan.vertices.find(({ operators }) => operators.includes(uid))!;
  const task = { vertex: vertex.id, index: 0 };
  return { job: jobIdFrom(new Uint8Array(16)), attempt: attempt(1), task, plan, config };
}

/** One task between senders and receivers that are always there and never slow. */
class Rig {
  readonly database: SqlDatabase;
  readonly received: Uint8Array[][];
  readonly acks: CheckpointAck[] = [];
  readonly failures: string[] = [];
  readonly definition: JobDefinition;
  task: Task;
  now = 20;
  rests = 0;
  #next: number[];
  #completed: CheckpointId | undefined;
  #checkpoint = 0;

  constructor(uid: Uid, backend: Backend, definition = jobOf(uid)) {
    this.definition = definition;
    this.database = testDatabase();
    const deployment = deploymentOf(uid, backend, definition);
    this.task = new Task(deployment, definition.graph, undefined, millis(0), this.database);
    this.received = this.task.outputs.map(() => []);
    this.#next = this.task.inputs.map(() => 0);
    this.perform(this.task.start(millis(0)));
  }

  perform(effects: readonly TaskEffect[]): void {
    for (const effect of effects) {
      const { task } = this;
      const now = millis(this.now);
      if (effect.kind === "open") {
        const expected = seq(this.received[effect.channel]!.length);
        this.perform(task.reopened(effect.channel, expected, now));
      } else if (effect.kind === "push") {
        const frames = this.received[effect.channel]!;
        if (effect.seq !== frames.length) throw new Error(`Frame ${effect.seq} is out of order.`);
        frames.push(effect.frame);
        this.perform(task.settled(effect.channel, effect.seq, now));
      } else if (effect.kind === "snapshot") {
        this.acks.push(effect.ack);
      } else if (effect.kind === "fail") {
        this.failures.push(effect.failure.message);
      }
    }
  }

  push(channel: number, frame: Uint8Array): void {
    const at = seq(this.#next[channel]!++);
    this.perform(this.task.receive(channel, at, frame, millis(this.now)).effects);
  }

  rows(channel: number, ...numbers: readonly number[]): void {
    const batch = numbers.map((n): Row => ({ key: `k${n % 7}`, n }));
    if (batch.length > 0) this.push(channel, encodeData(encodeRows(batch)));
  }

  checkpoint(end: "completed" | "aborted" = "completed"): CheckpointId {
    const id = checkpointId(++this.#checkpoint);
    for (const channel of this.task.inputs.keys()) this.push(channel, encodeBarrier(id));
    if (end === "aborted") this.perform(this.task.notifyAborted(id, millis(this.now)));
    else this.perform(this.task.notifyComplete((this.#completed = id), millis(this.now)));
    return id;
  }

  /** Makes an image, where the task has one now; `wake` goes on with what is made of it. */
  image({ wake }: { readonly wake: boolean }): void {
    if (this.#completed === undefined || !this.task.mayRest(this.#completed)) return;
    const images = new ImageRows(this.database);
    images.write(this.task.image(this.#completed));
    if (!wake) return;
    this.rests++;
    this.task.stop();
    const { graph } = this.definition;
    this.task = Task.fromImage(images.read(), graph, millis(this.now), this.database);
    const { activity } = this.task;
    if (activity.cleanSince !== this.#completed) throw new Error("It woke up unclean.");
    images.remove();
  }

  /** All that can be told from outside. */
  get seen(): unknown {
    const { task } = this;
    const sums = task.table("sums");
    return {
      failures: this.failures,
      metrics: task.metrics,
      expected: task.inputs.map((_, channel) => task.position(channel).expected),
      received: this.received.map((frames) =>
        frames.map((bytes) => {
          const frame = decodeFrame(bytes);
          return frame.kind === "data" ? decodeRows(frame.rows) : frame;
        }),
      ),
      acks: this.acks.map(contentOf),
      latest: sums && sorted(sums.entries("latest")),
      committed: sums && sorted(sums.entries("committed")),
      committedBy: sums?.committedCheckpoint,
    };
  }
}

const sorted = (entries: Iterable<unknown>): string[] =>
  Array.from(entries, (entry) => JSON.stringify(entry)).sort();

/** What a chain of segments comes to, one applied after the other. */
function tableOf(segments: readonly BytesHandle[]): string[] {
  const table = new Map<string, unknown>();
  for (const segment of segments) {
    if (segment.kind !== "inline") throw new Error("Not inline.");
    for (const entry of readSegment(segment.bytes).entries()) {
      const key = JSON.stringify(entry.key);
      if ("deleted" in entry) table.delete(key);
      else table.set(key, entry);
    }
  }
  return sorted(table.values());
}

/**
 * An acknowledgement with its state as a restore makes it. By which segments it is told may differ: an
 * image does not say what changed since the full one, so that after it no delta takes another's place.
 */
const contentOf = ({ checkpoint, state }: CheckpointAck): unknown => ({
  checkpoint,
  operator: state.operator,
  keyed: state.keyed
    .map(({ uid, state: name, range, segments }) => ({
      at: `${uid}/${name}`,
      range,
      table: tableOf(segments),
    }))
    .sort((a, b) => (a.at < b.at ? -1 : 1)),
});

type Step =
  | { readonly kind: "rows"; readonly channel: number; readonly numbers: readonly number[] }
  | { readonly kind: "completed" | "aborted" | "image" | "rest" };

const numbersOf = fc.array(fc.nat(40), { minLength: 1, maxLength: 6 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("rows" as const),
      channel: fc.nat(1),
      numbers: numbersOf,
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "completed" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "aborted" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "image" as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: "rest" as const }) },
);

function run(rig: Rig, steps: readonly Step[], rests: boolean): Rig {
  for (const one of steps) {
    if (one.kind === "rows") rig.rows(one.channel, ...one.numbers);
    else if (one.kind === "completed" || one.kind === "aborted") rig.checkpoint(one.kind);
    else if (rests) rig.image({ wake: one.kind === "rest" });
  }
  rig.checkpoint();
  return rig;
}

const backends = ["memory", "sqlite"] as const;

describe("a task made of an image", () => {
  for (const backend of backends) {
    for (const uid of ["fold", "sum"] as const) {
      it(`goes on as if it had never stopped: "${uid}" on ${backend}`, () => {
        let rests = 0;
        fc.assert(
          fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
            const subject = run(new Rig(uid, backend), steps, true);
            const control = run(new Rig(uid, backend), steps, false);
            rests += subject.rests;
            expect(subject.seen).toEqual(control.seen);
          }),
          { numRuns: 100 },
        );
        expect(rests).toBeGreaterThan(10);
      });
    }
  }

  it("adds a delta to the chain of the checkpoint it rested on", () => {
    const rig = new Rig("sum", "memory");
    rig.rows(0, ...Array.from({ length: 500 }, (_, n) => n));
    rig.checkpoint();
    rig.image({ wake: true });
    rig.rows(1, 1, 2, 3);
    rig.checkpoint();
    const [before, after] = rig.acks.map(({ state }) => state.keyed);
    for (const { uid, state, segments } of after!) {
      const base = before!.find((one) => one.uid === uid && one.state === state)!;
      expect(segments.slice(0, -1)).toEqual(base.segments);
    }
    expect(rig.acks[1]!.metrics.bytes).toBeLessThan(rig.acks[0]!.metrics.bytes);
  });

  it("opens a session only on the channel that it has something for", () => {
    const rig = new Rig("fold", "memory");
    rig.rows(0, 1);
    const id = rig.checkpoint();
    const { graph } = rig.definition;
    const task = Task.fromImage(rig.task.image(id), graph, millis(20));
    const before = rig.received.map(({ length }) => length);
    const effects = task.receive(0, task.position(0).expected, dataOf(1), millis(20)).effects;
    const [opened, ...others] = effects.filter((effect) => effect.kind === "open");
    expect(others).toEqual([]);
    // It goes on counting where it was; what the receiver expects says whether it is the same one.
    const { channel } = opened!;
    const sent = task.reopened(channel, seq(before[channel]!), millis(20));
    expect(sent).toMatchObject([{ kind: "push", channel, seq: before[channel] }]);
    const other = Task.fromImage(rig.task.image(id), graph, millis(20));
    other.receive(0, other.position(0).expected, dataOf(1), millis(20));
    expect(other.reopened(channel, seq(0), millis(20))).toMatchObject([{ kind: "fail" }]);
  });

  it("of a source goes on from its offsets, and waits at its ends", () => {
    const definition = jobOf("sum");
    const { graph } = definition;
    const deployment = deploymentOf("rows", "memory", definition);
    const source = new Task(deployment, graph, undefined, millis(0));
    const reads = source.start(millis(0)).filter((effect) => effect.kind === "read");
    source.outputs.forEach((_, at) => source.reopened(at, seq(0), millis(0)));
    expect(reads).toMatchObject([{ partition: 0, from: 0 }]);
    const batch = { first: 0, count: 1, bytes: encodeRows([{ key: "a", n: 1 }]) };
    source.sourceBatches(0, [batch as never], millis(0));
    for (const at of source.outputs.keys()) source.settled(at, seq(0), millis(0));
    expect(source.activity).toEqual({ isIdle: false });
    source.trigger(checkpointId(1), millis(0));
    for (const at of source.outputs.keys()) {
      for (const frame of [0, 1]) source.settled(at, seq(frame), millis(0));
    }
    expect(source.mayRest(checkpointId(1))).toBe(false);
    source.sourceBatches(0, [], millis(0));
    expect(source.activity).toEqual({ isIdle: true, cleanSince: 1 });
    // Heard of an append that no read has seen: there is something to do after all.
    source.appended(0, millis(0));
    expect(source.activity.isIdle).toBe(false);
    source.sourceBatches(0, [], millis(0));
    expect(source.ends).toEqual([{ partition: 0, from: 1 }]);

    const woken = Task.fromImage(source.image(checkpointId(1)), graph, millis(0));
    expect(woken.ends).toEqual([{ partition: 0, from: 1 }]);
    expect(woken.appended(0, millis(0))).toEqual([{ kind: "read", partition: 0, from: 1 }]);
  });
});

const dataOf = (...numbers: readonly number[]): Uint8Array =>
  encodeData(encodeRows(numbers.map((n) => ({ key: "k", n }))));

describe("a task has no image", () => {
  it("unless it is idle, and clean since the checkpoint", () => {
    const rig = new Rig("sum", "memory");
    const { task } = rig;
    expect(task.activity).toEqual({ isIdle: true });
    expect(task.mayRest(checkpointId(1))).toBe(false);
    rig.rows(0, 1);
    expect(() => task.image(checkpointId(1))).toThrow(/A7/);
    const first = rig.checkpoint();
    expect(task.mayRest(first)).toBe(true);

    // A barrier of which others are missing.
    rig.push(0, encodeBarrier(checkpointId(2)));
    expect(task.activity).toEqual({ isIdle: false, cleanSince: 1 });
    rig.push(0, dataOf(5));
    expect(task.mayRest(first)).toBe(false);
    rig.push(1, encodeBarrier(checkpointId(2)));
    // The row behind the barrier was held, and is processed by now.
    expect(task.activity).toEqual({ isIdle: true });
    // The second one of this id is dropped.
    rig.checkpoint();
    const third = rig.checkpoint();
    const last = rig.checkpoint("aborted");
    expect(task.activity).toEqual({ isIdle: true, cleanSince: last });
    // Nothing was processed since the one before either, but since the first.
    expect(task.mayRest(third)).toBe(true);
    expect(task.mayRest(first)).toBe(false);
  });

  it("while a frame that it sent is not settled", () => {
    const definition = jobOf("fold");
    const { graph } = definition;
    const deployment = deploymentOf("fold", "memory", definition);
    const task = new Task(deployment, graph, undefined, millis(0));
    task.start(millis(0));
    task.outputs.forEach((_, at) => task.reopened(at, seq(0), millis(0)));
    const pushes = [0, 1].flatMap(
      (channel) => task.receive(channel, seq(0), encodeBarrier(checkpointId(1)), millis(0)).effects,
    );
    const sent = pushes.filter((effect) => effect.kind === "push");
    expect(sent).toHaveLength(2);
    expect(task.activity).toEqual({ isIdle: false, cleanSince: 1 });
    for (const push of sent) task.settled(push.channel, push.seq, millis(0));
    expect(task.activity).toEqual({ isIdle: true, cleanSince: 1 });
  });

  it("of state that was migrated on the way, until it is saved", () => {
    for (const backend of backends) {
      const rig = new Rig("fold", backend);
      rig.rows(0, 1, 2, 3);
      const image = rig.task.image(rig.checkpoint());
      const { graph } = jobOf("fold", { version: 2 });
      const task = Task.fromImage(image, graph, millis(20), rig.database);
      expect(task.activity).toEqual({ isIdle: true });
    }
  });
});

describe("the rows of an image", () => {
  it("are no larger than SQLite takes", () => {
    const rig = new Rig("sum", "memory");
    const long = "x".repeat(2_000);
    for (let from = 0; from < 3_000; from += 500) {
      const keys = Array.from({ length: 500 }, (_, at) => ({ key: `${from + at}${long}`, n: 0 }));
      rig.push(0, encodeData(encodeRows(keys)));
    }
    const image = rig.task.image(rig.checkpoint());
    const rowsOf = new ImageRows(rig.database);
    rowsOf.write(image);
    const lengths = rig.database.exec("SELECT length(bytes) AS n FROM image");
    expect(lengths.length).toBeGreaterThan(3);
    for (const row of lengths) expect(row["n"]).toBeLessThanOrEqual(imagePartBytesMax);
    expect(rowsOf.read()).toEqual(image);
    // The next one leaves nothing of it behind.
    const small = new Rig("sum", "memory");
    small.rows(0, 1);
    rowsOf.write(small.task.image(small.checkpoint()));
    expect(rig.database.exec("SELECT count(*) AS n FROM image")[0]!["n"]).toBeLessThan(5);
    rowsOf.remove();
    expect(() => rowsOf.read()).toThrow(FormatError);
  });

  it("tell of any damage: a changed byte, a missing row", () => {
    const rig = new Rig("sum", "memory");
    rig.rows(0, ...Array.from({ length: 50 }, (_, n) => n));
    const images = new ImageRows(rig.database);
    const image = rig.task.image(rig.checkpoint());
    const wake = (): Task =>
      Task.fromImage(images.read(), rig.definition.graph, millis(20), rig.database);
    images.write(image);
    expect(wake().activity.isIdle).toBe(true);
    const stored = rig.database.exec("SELECT blob, part, bytes FROM image");
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (at, place, change) => {
        images.write(image);
        const { blob, part, bytes } = stored[at % stored.length]!;
        const damaged = blobOf(bytes).slice();
        damaged[place % damaged.length]! ^= change;
        rig.database.exec(
          "UPDATE image SET bytes = ? WHERE blob = ? AND part = ?",
          damaged,
          blob!,
          part!,
        );
        expect(wake).toThrow(FormatError);
      }),
      { numRuns: 300 },
    );
    for (const { blob } of stored) {
      images.write(image);
      rig.database.exec("DELETE FROM image WHERE blob = ?", blob!);
      expect(wake).toThrow(FormatError);
    }
  });

  it("are no use without those of the state, where it is in rows", () => {
    const rig = new Rig("sum", "sqlite");
    rig.rows(0, 1, 2, 3);
    const image = rig.task.image(rig.checkpoint());
    expect(image.keyed.map(({ segments }) => segments)).toContain("held");
    const { graph } = rig.definition;
    expect(() => Task.fromImage(image, graph, millis(20), testDatabase())).toThrow(FormatError);
  });

  it("keep what has expired: that it is gone is news to the next checkpoint", () => {
    const rig = new Rig("fold", "memory", jobOf("fold", { ttl: "1 s" }));
    rig.rows(0, ...Array.from({ length: 30 }, (_, n) => n));
    rig.checkpoint();
    rig.now += 60_000;
    rig.image({ wake: true });
    rig.rows(0, 1);
    rig.checkpoint();
    const lists = rig.acks.map(
      ({ state }) => state.keyed.find((one) => one.state === "recent")!.segments,
    );
    expect(lists.map(({ length }) => length)).toEqual([1, 2]);
    const delta = lists[1]![1]!;
    if (delta.kind !== "inline") throw new Error("Not inline.");
    const entries = [...readSegment(delta.bytes).entries()];
    expect(entries.filter((entry) => "deleted" in entry).length).toBeGreaterThan(0);
  });
});
