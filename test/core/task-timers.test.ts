// When a subtask is woken for its timers, and when it lets them wait.

import { describe, expect, test } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { encodeRows } from "../../format/batch.ts";
import { encodeBarrier, encodeData, never } from "../../format/frame.ts";
import { attempt, checkpointId, jobIdFrom, millis, seq } from "../../format/ids.ts";
import { channelWindow, restMin } from "../../format/limits.ts";
import type { TaskDeployment } from "../../format/messages.ts";
import type { TaskStateHandle } from "../../format/state-handle.ts";
import { sharesOf } from "../../task/operator-state.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";
import { type DeadLetter, deadLetter, defineJob, rows, table, topic } from "tidemark";

interface Alarm {
  readonly key: string;
  readonly at: number;
}

const definition = defineJob(
  "alarms",
  (env) => {
    env
      .from(topic<Alarm>("alarms", { partitions: 1 }), { uid: "alarms" })
      .keyBy((alarm) => alarm.key)
      .process(
        {
          state: {},
          emits: rows<{ key: string; time: number }>(),
          process: ({ at }, { timers }) => timers.registerProcessingTime(at),
          onTimer(time, { key, emit }) {
            if (time === 13) throw new RangeError("unlucky");
            emit({ key, time });
          },
        },
        { uid: "clock", onError: deadLetter(topic<DeadLetter>("dead", { partitions: 1 })) },
      )
      .to(table("rung", { key: (row) => [row.key, row.time] }), { uid: "out" });
  },
  { bufferTimeout: 0, checkpointing: { interval: 100, inlineThreshold: "1 mb" } },
);

/** The subtask with the timers, its one input and its one output. */
class Clock {
  readonly task: Task;
  readonly pushed: TaskEffect[] = [];
  effects: TaskEffect[] = [];
  #next = 0;

  constructor(now: number, state?: TaskStateHandle) {
    const { graph } = definition;
    const plan = planOf(graph);
    const vertex = plan.vertices.find(({ operators }) => operators.includes("clock"))!;
    const checkpoint = checkpointId(1);
    const deployment: TaskDeployment = {
      job: jobIdFrom(new Uint8Array(16)),
      attempt: attempt(1),
      task: { vertex: vertex.id, index: 0 },
      plan,
      config: graph.config,
      ...(state && { restore: { checkpoint, states: [state] } }),
    };
    const bytesOf = (handle: unknown): Uint8Array => (handle as { bytes: Uint8Array }).bytes;
    const restored = state && {
      checkpoint,
      keyed: state.keyed.map((handle) => ({ handle, segments: handle.segments.map(bytesOf) })),
      operator: sharesOf(deployment).map((share) => ({
        ...share,
        bytes: bytesOf(share.handle.bytes),
      })),
      channels: [],
    };
    this.task = new Task(deployment, graph, restored, millis(now));
  }

  start(now: number): this {
    this.perform(this.task.start(millis(now)));
    this.perform(this.task.reopened(0, seq(0), millis(now)));
    return this;
  }

  push(frame: Uint8Array, now: number): void {
    this.perform(this.task.receive(0, seq(this.#next++), frame, millis(now)).effects);
  }

  register(now: number, ...alarms: readonly Alarm[]): void {
    this.push(encodeData(encodeRows(alarms)), now);
  }

  tick(now: number): void {
    this.perform(this.task.tick(millis(now)));
  }

  perform(effects: readonly TaskEffect[]): void {
    this.effects.push(...effects);
    this.pushed.push(...effects.filter(({ kind }) => kind === "push"));
  }

  /** The state at a barrier. */
  snapshot(now: number): TaskStateHandle {
    this.push(encodeBarrier(checkpointId(1), never), now);
    const taken = this.effects.find((effect) => effect.kind === "snapshot");
    return taken!.ack.state;
  }
}

describe("a subtask with timers", () => {
  test("is woken for the next of them, and fires it then", () => {
    const clock = new Clock(5).start(5);
    expect(clock.task.wakeAt).toBeUndefined();
    clock.register(6, { key: "a", at: 40 }, { key: "b", at: 20 });
    expect(clock.task.wakeAt).toBe(20);
    clock.tick(19);
    expect(clock.pushed).toHaveLength(0);
    clock.tick(20);
    expect(clock.pushed).toHaveLength(1);
    expect(clock.task.wakeAt).toBe(40);
    clock.tick(41);
    expect(clock.pushed).toHaveLength(2);
    expect(clock.task.wakeAt).toBeUndefined();
    expect(clock.task.nextTimerAt).toBeUndefined();
  });

  test("is idle only while the next of them is far (A8)", () => {
    const clock = new Clock(5).start(5);
    expect(clock.task.activity.isIdle).toBe(true);
    clock.register(6, { key: "a", at: 40 }, { key: "a", at: 40 + restMin });
    expect(clock.task.activity.isIdle).toBe(false);
    clock.tick(40);
    for (const each of clock.pushed) {
      if (each.kind === "push")
        clock.perform(clock.task.settled(each.channel, each.seq, millis(40)));
    }
    expect(clock.task.nextTimerAt).toBe(40 + restMin);
    expect(clock.task.activity.isIdle).toBe(true);
  });

  test("tells of them also while it does not run", () => {
    const clock = new Clock(5).start(5);
    clock.register(6, { key: "a", at: 40 });
    const restored = new Clock(100, clock.snapshot(7));
    expect(restored.task.nextTimerAt).toBe(40);
    expect(restored.task.wakeAt).toBeUndefined();
    expect(restored.pushed).toHaveLength(0);
    // Late: it fires as soon as the attempt runs.
    restored.start(101);
    expect(restored.pushed).toHaveLength(1);
  });

  test("lets them wait while its outputs have no room, and is not woken in vain (A8)", () => {
    const clock = new Clock(5).start(5);
    const alarms = Array.from({ length: channelWindow + 1 }, (_, n) => ({ key: "a", at: 20 + n }));
    clock.register(6, ...alarms, { key: "a", at: 1_000 });
    for (const { at } of alarms) clock.tick(at);
    expect(clock.pushed).toHaveLength(channelWindow);
    expect(clock.task.nextTimerAt).toBe(1_000);
    clock.tick(2_000);
    expect(clock.task.nextTimerAt).toBe(1_000);
    expect(clock.task.wakeAt).toBeUndefined();
    // It is held up from the time on at which the timer was due.
    expect(clock.task.metrics.backPressuredTime).toBe(1_000);
    // Credit comes back: what waited leaves, and then the timer has its turn.
    for (const each of clock.pushed.slice()) {
      if (each.kind !== "push") continue;
      clock.perform(clock.task.settled(each.channel, each.seq, millis(2_001)));
    }
    expect(clock.pushed).toHaveLength(channelWindow + 2);
    expect(clock.task.nextTimerAt).toBeUndefined();
  });

  test("sends one that throws to the dead letter topic, with its key and time", () => {
    const clock = new Clock(5).start(5);
    clock.register(6, { key: "a", at: 13 }, { key: "a", at: 14 });
    clock.tick(15);
    expect(clock.pushed).toHaveLength(1);
    expect(clock.task.metrics.recordsDeadLettered).toBe(1);
    const states = clock.snapshot(16).operator.map(({ state }) => state);
    expect(states).toEqual(["commits/topics"]);
  });
});
