// Dead letters from the row that threw to the topic: exactly once, whatever is lost on the way, and
// with the place they come from.

import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { decodeRows, encodeRows } from "../../format/batch.ts";
import { decodeManifest, encodeManifest } from "../../format/manifest.ts";
import {
  attempt,
  checkpointId,
  jobIdFrom,
  millis,
  offset,
  seq,
  taskKey,
} from "../../format/ids.ts";
import { deadLetterBytesMax } from "../../format/limits.ts";
import type { CheckpointAck, TaskDeployment } from "../../format/messages.ts";
import type { TaskStateHandle } from "../../format/state-handle.ts";
import type { Append } from "../../task/commits.ts";
import { sharesOf } from "../../task/operator-state.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";
import { type DeadLetter, deadLetter, defineJob, type JobOptions, table, topic } from "tidemark";

interface Row {
  readonly n: number;
  readonly bad?: "map" | "key" | "dropped" | "huge";
}

const dead = topic<DeadLetter<Row>>("dead", { partitions: 2 });
const partitions = 2;

const definition = (options: JobOptions) =>
  defineJob(
    "letters",
    (env) => {
      env
        .from(topic<Row>("rows", { partitions }), { uid: "rows", parallelism: 1 })
        .filter(
          (row) => {
            if (row.bad === "dropped") throw new Error("dropped");
            return row.n % 5 !== 0;
          },
          { uid: "filter", parallelism: 1, onError: "drop" },
        )
        .map(
          (row) => {
            if (row.bad === "map") throw new TypeError(`no ${row.n}`);
            if (row.bad === "huge") throw new Error("x".repeat(100_000));
            return row;
          },
          { uid: "map", parallelism: 1 },
        )
        .to(
          table("out", {
            key: (row: Row) => {
              if (row.bad === "key") throw new RangeError("no key");
              return row.n;
            },
          }),
          { uid: "out", parallelism: 1 },
        );
    },
    { bufferTimeout: 0, onError: deadLetter(dead), ...options },
  );

/** The source's subtask in a world that loses things; the topic is what arrived, by id. */
class World {
  readonly logs: Row[][] = Array.from({ length: partitions }, () => []);
  readonly arrived = new Map<string, Append>();
  /** Appends on their way, also of subtasks that are gone. */
  sent: { readonly task: Task; readonly commit: Append }[] = [];
  readonly acks = new Map<number, CheckpointAck>();
  readonly effects: TaskEffect[] = [];
  completed: { readonly id: number; readonly state: TaskStateHandle } | undefined;
  task!: Task;
  attempt = 0;
  now = 1_000;
  #reads: { partition: number; from: number }[] = [];
  #triggered = 0;
  readonly #definition;

  constructor(options: JobOptions = { checkpointing: { interval: 100, inlineThreshold: "1 mb" } }) {
    this.#definition = definition(options);
    this.start();
  }

  start(): void {
    const { graph } = this.#definition;
    const plan = planOf(graph);
    const { completed } = this;
    const deployment: TaskDeployment = {
      job: jobIdFrom(new Uint8Array(16)),
      attempt: attempt(++this.attempt),
      task: { vertex: plan.vertices[0]!.id, index: 0 },
      plan,
      config: graph.config,
      ...(completed && {
        restore: { checkpoint: checkpointId(completed.id), states: [completed.state] },
      }),
    };
    const restored = completed && {
      checkpoint: checkpointId(completed.id),
      keyed: [],
      operator: sharesOf(deployment).map((share) => ({
        ...share,
        bytes: (share.handle.bytes as { bytes: Uint8Array }).bytes,
      })),
      channels: [],
    };
    this.task = new Task(deployment, graph, restored, millis(this.now));
    this.#reads = [];
    this.acks.clear();
    this.perform(this.task.start(millis(this.now)));
    this.task.outputs.forEach((_, at) =>
      this.perform(this.task.reopened(at, seq(0), millis(this.now))),
    );
  }

  perform(effects: readonly TaskEffect[]): void {
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.kind === "read") this.#reads.push(effect);
      if (effect.kind === "append") this.sent.push({ task: this.task, commit: effect.commit });
      if (effect.kind === "snapshot") this.acks.set(effect.ack.checkpoint, effect.ack);
      if (effect.kind === "push") {
        this.perform(this.task.settled(effect.channel, effect.seq, millis(this.now)));
      }
      if (effect.kind === "fail") throw new Error(effect.failure.message);
    }
  }

  /** Answers a read with a few records. */
  read(partition: number, count = 3): void {
    const at = this.#reads.findIndex((read) => read.partition === partition);
    if (at === -1) return;
    const { from } = this.#reads.splice(at, 1)[0]!;
    const rows = this.logs[partition]!.slice(from, from + count);
    const batch = { first: offset(from), count: rows.length, bytes: encodeRows(rows) };
    const batches = rows.length === 0 ? [] : [batch];
    this.now++;
    this.perform(this.task.sourceBatches(partition, batches, millis(this.now)));
  }

  trigger(): number {
    this.perform(this.task.trigger(checkpointId(++this.#triggered), millis(this.now)));
    return this.#triggered;
  }

  /** All have acknowledged it, and its manifest is stored: through bytes, as in R2. */
  complete(id: number): void {
    const ack = this.acks.get(id);
    if (ack === undefined || id <= (this.completed?.id ?? 0)) return;
    const { job, attempt: by, task, plan } = this.task.deployment;
    const bytes = encodeManifest({
      job,
      program: plan.program,
      fingerprint: plan.fingerprint,
      checkpoint: checkpointId(id),
      attempt: by,
      completedAt: millis(this.now),
      maxParallelism: plan.maxParallelism,
      tasks: [{ task: taskKey(task), state: ack.state }],
    });
    this.completed = { id, state: decodeManifest(bytes).tasks[0]!.state };
  }

  notify(): void {
    if (this.completed === undefined) return;
    const id = checkpointId(this.completed.id);
    this.perform(this.task.notifyComplete(id, millis(this.now)));
  }

  /** One append arrives; whether its sender hears of it is another matter. */
  deliver(isAnswered: boolean): void {
    const [next] = this.sent.splice(0, 1);
    if (next === undefined) return;
    const { task, commit } = next;
    const known = this.arrived.get(commit.id);
    if (known === undefined) this.arrived.set(commit.id, commit);
    else if (!isDeepStrictEqual(commit, known)) throw new Error(`${commit.id} was two appends.`);
    if (task !== this.task) return;
    if (isAnswered) this.perform(task.committed(commit.id, millis(this.now)));
    else this.sent.push(next);
  }

  crash(): void {
    this.task.stop();
    this.start();
  }

  /** Comes to rest on a checkpoint, and is woken from its image in the same attempt. */
  rest(): void {
    const id = this.trigger();
    this.complete(id);
    this.notify();
    const image = this.task.image(checkpointId(id));
    this.task.stop();
    this.task = Task.fromImage(image, this.#definition.graph, millis(this.now));
    this.#reads = [];
    this.perform(this.task.tick(millis(this.now)));
  }

  get letters(): DeadLetter<Row>[] {
    return [...this.arrived.values()].flatMap(({ batches }) =>
      batches.flatMap(({ rows, bytes }) => {
        const decoded = decodeRows(bytes) as DeadLetter<Row>[];
        if (decoded.length !== rows) throw new Error(`${rows} rows were ${decoded.length}.`);
        return decoded;
      }),
    );
  }
}

const places = (letters: readonly DeadLetter<Row>[]): string[] =>
  letters
    .map(
      ({ source, operator, value }) =>
        `${source?.partition}:${source?.offset} ${operator} ${value.n}`,
    )
    .sort();

/** What must be in the topic once all was read and committed. */
const expected = (logs: readonly (readonly Row[])[]): string[] =>
  logs
    .flatMap((log, partition) =>
      log.flatMap((row, at) => {
        if (row.n % 5 === 0 || row.bad === undefined || row.bad === "dropped") return [];
        return [`${partition}:${at} ${row.bad === "key" ? "out" : "map"} ${row.n}`];
      }),
    )
    .sort();

const rowOf = fc.record(
  { n: fc.nat(1_000), bad: fc.constantFrom("map" as const, "key" as const, "dropped" as const) },
  { requiredKeys: ["n"] },
);

const logOf = fc.array(rowOf, { maxLength: 20, size: "max" });

describe("dead letters", () => {
  test("SinkV2ITCase: are in the topic exactly once, whatever is lost (G1 to G3)", () => {
    const command = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("read" as const), p: fc.nat(1) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("trigger" as const) }) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant("complete" as const), back: fc.nat(1) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("notify" as const) }) },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant("deliver" as const), isAnswered: fc.boolean() }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
    );
    fc.assert(
      fc.property(
        fc.tuple(logOf, logOf),
        fc.array(command, { maxLength: 60, size: "max" }),
        (logs, commands) => {
          const world = new World();
          logs.forEach((log, partition) => world.logs[partition]!.push(...log));
          let last = 0;
          for (const each of commands) {
            if (each.kind === "read") world.read(each.p);
            else if (each.kind === "trigger") last = world.trigger();
            else if (each.kind === "complete") world.complete(last - each.back);
            else if (each.kind === "notify") world.notify();
            else if (each.kind === "deliver") world.deliver(each.isAnswered);
            else if (each.kind === "lose") {
              // A sender that goes on sends again; one that is gone does not.
              const [next] = world.sent.splice(0, 1);
              if (next?.task === world.task) world.sent.push(next);
            } else world.crash();
          }
          // All heals.
          for (const partition of [0, 1]) for (let n = 0; n < 30; n++) world.read(partition);
          world.complete(world.trigger());
          world.notify();
          while (world.sent.length > 0) world.deliver(true);
          expect(places(world.letters)).toEqual(expected(world.logs));
          // Nothing of it stays in the state.
          expect(world.task.isCommitting).toBe(false);
          const id = world.trigger();
          const states = world.acks.get(id)!.state.operator.map(({ state }) => state);
          expect(states).not.toContain("commits/topics");
        },
      ),
      { numRuns: 300 },
    );
  });

  test("say what, where, why and when", () => {
    const world = new World();
    world.logs[1]!.push({ n: 1 }, { n: 2, bad: "map" }, { n: 3, bad: "dropped" });
    world.read(1);
    expect(world.task.metrics).toMatchObject({ recordsDropped: 1, recordsDeadLettered: 1 });
    world.complete(world.trigger());
    expect(world.sent).toEqual([]);
    world.notify();
    world.notify();
    expect(world.sent).toHaveLength(1);
    world.deliver(true);
    expect(world.letters).toEqual([
      {
        value: { n: 2, bad: "map" },
        operator: "map",
        subtask: 0,
        source: { topic: "rows", partition: 1, offset: 1 },
        timer: null,
        error: { name: "TypeError", message: "no 2" },
        time: 1_001,
      },
    ]);
    const [id] = world.arrived.keys();
    expect(id).toMatch(/^0{32}\/[0-9a-f]{32}\/0\/1\/dead$/);
  });

  test("are gone on with where another operator was the first of its chain", () => {
    const world = new World();
    world.logs[0]!.push({ n: 1, bad: "map" });
    world.read(0, 1);
    world.complete(world.trigger());
    const { id, state } = world.completed!;
    const operator = state.operator.map((handle) =>
      handle.state === "commits/topics" ? { ...handle, uid: "map" } : handle,
    );
    world.completed = { id, state: { ...state, operator } };
    world.crash();
    world.deliver(true);
    expect(places(world.letters)).toEqual(expected(world.logs));
    const next = world.trigger();
    const states = world.acks.get(next)!.state.operator.map((handle) => handle.state);
    expect(states).not.toContain("commits/topics");
  });

  test("of an aborted checkpoint come with the next that completes", () => {
    const world = new World();
    world.logs[0]!.push({ n: 1, bad: "map" }, { n: 2, bad: "map" });
    world.read(0, 1);
    world.trigger();
    world.perform(world.task.notifyAborted(checkpointId(1), millis(world.now)));
    world.read(0, 1);
    world.complete(world.trigger());
    world.notify();
    expect(world.sent.map(({ commit }) => commit.checkpoint)).toEqual([1, 2]);
  });

  test("of a job without checkpoints leave at once, and once per attempt", () => {
    const world = new World({});
    world.logs[0]!.push({ n: 1, bad: "map" }, { n: 2 }, { n: 3, bad: "map" });
    world.read(0, 2);
    expect(world.sent).toHaveLength(1);
    world.read(0, 2);
    expect(world.sent).toHaveLength(2);
    while (world.sent.length > 0) world.deliver(true);
    expect(places(world.letters)).toEqual(["0:0 map 1", "0:2 map 3"]);
    world.crash();
    world.read(0, 2);
    world.deliver(true);
    // At least once: nobody knows what the last attempt has sent.
    expect(places(world.letters)).toEqual(["0:0 map 1", "0:0 map 1", "0:2 map 3"]);
  });

  test("of a job without checkpoints are appends of their own after a rest", () => {
    const world = new World({});
    world.logs[0]!.push({ n: 1, bad: "map" });
    world.read(0);
    world.deliver(true);
    for (const partition of [0, 1]) world.read(partition);
    world.rest();
    world.logs[0]!.push({ n: 2, bad: "map" });
    world.read(0);
    // Under the id of the first it would be a conflict, and the end of the attempt.
    world.deliver(true);
    expect(places(world.letters)).toEqual(["0:0 map 1", "0:1 map 2"]);
  });

  test("that are too many make the source wait for a checkpoint", () => {
    const world = new World();
    const rows = Array.from({ length: 1_000 }, (_, n) => ({ n: 5 * n + 1, bad: "huge" as const }));
    world.logs[0]!.push(...rows);
    for (let n = 0; n < 200; n++) world.read(0, 10);
    const { recordsIn, recordsDeadLettered } = world.task.metrics;
    expect(recordsDeadLettered).toBe(recordsIn);
    expect(recordsIn).toBeLessThan(200);
    for (let n = 0; n < 20 && world.task.metrics.recordsIn < 1_000; n++) {
      world.complete(world.trigger());
      world.notify();
      while (world.sent.length > 0) world.deliver(true);
      for (let reads = 0; reads < 20; reads++) world.read(0, 10);
    }
    expect(world.task.metrics.recordsIn).toBe(1_000);
    const [letter] = world.letters;
    expect(letter!.error.message).toHaveLength(8_192);
    const large = [...world.arrived.values()].flatMap(({ batches }) => batches);
    expect(Math.max(...large.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(2 ** 20);
  });

  test("that outrun everything fail the attempt, and say what to do", () => {
    const world = new World();
    const rows = Array.from({ length: 600 }, (_, n) => ({ n: 5 * n + 1, bad: "huge" as const }));
    world.logs[0]!.push(...rows);
    expect(() => world.read(0, 600)).toThrow(
      new RegExp(`${deadLetterBytesMax} fit .*checkpoints more often`),
    );
  });
});
