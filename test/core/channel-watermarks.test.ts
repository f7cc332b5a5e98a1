// How far event time has come in a subtask by what its inputs say, and when those behind it are told.

import { describe, expect, test } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { encodeRows } from "../../format/batch.ts";
import {
  decodeFrame,
  encodeData,
  encodeWatermark,
  endOfTime,
  noTime,
  type Watermark,
} from "../../format/frame.ts";
import { attempt, jobIdFrom, millis, seq } from "../../format/ids.ts";
import type { TaskDeployment } from "../../format/messages.ts";
import { ChannelWatermarks } from "../../task/channel-watermarks.ts";
import type { TaskEffect } from "../../task/task-effect.ts";
import { Task } from "../../task/task.ts";
import { boundedOutOfOrderness, count, defineJob, table, topic, tumbling } from "tidemark";

const active = (time: number): Watermark => ({ time, isIdle: false });
const idle = (time: number): Watermark => ({ time, isIdle: true });
const ended = active(endOfTime);

/** What the subtask has come to, as each input says something in its turn. */
function heard(channels: number, ...said: readonly (readonly [number, Watermark])[]): Watermark[] {
  const times = new ChannelWatermarks(channels);
  return said.map(([channel, watermark]) => times.received(channel, watermark));
}

// As Flink's StatusWatermarkValveTest; what ends while others are idle is ours.
describe("the event time of a subtask", () => {
  test("is the least of its inputs, and never goes back", () => {
    const said = [[0, active(5)] as const, [1, active(3)] as const, [1, active(7)] as const];
    expect(heard(2, ...said, [0, active(4)])).toEqual([
      active(noTime),
      active(3),
      active(5),
      active(5),
    ]);
  });

  test("does not wait for an idle input, nor for one that is behind when it is back", () => {
    expect(
      heard(
        2,
        [0, active(10)],
        [1, idle(2)],
        [1, active(4)], // behind: not waited for
        [0, active(20)],
        [1, active(20)], // it has caught up
        [0, active(30)],
      ),
    ).toEqual([active(noTime), active(10), active(10), active(20), active(20), active(20)]);
  });

  test("is the furthest of inputs that are all idle", () => {
    expect(heard(2, [0, active(10)], [1, active(3)], [1, idle(3)], [0, idle(10)])).toEqual([
      active(noTime),
      active(3),
      active(10),
      idle(10),
    ]);
    expect(heard(2, [0, active(10)], [1, active(3)], [0, idle(10)], [1, idle(3)])).toEqual([
      active(noTime),
      active(3),
      active(3),
      idle(10),
    ]);
  });

  test("counts an input that has ended with what it had come to, where the others are idle", () => {
    expect(heard(2, [0, active(10)], [1, idle(noTime)], [0, ended], [1, ended])).toEqual([
      active(noTime),
      active(10),
      idle(10),
      ended,
    ]);
    // In whatever order they end: as far as a neighbour that has heard the same otherwise.
    const before = [[0, active(10)] as const, [1, active(3)] as const, [2, idle(noTime)] as const];
    expect(heard(3, ...before, [0, ended], [1, ended]).at(-1)).toEqual(idle(10));
    expect(heard(3, ...before, [1, ended], [0, ended]).at(-1)).toEqual(idle(10));
  });

  test("goes on where another stood, with what its inputs had come to before they ended", () => {
    const first = new ChannelWatermarks(3);
    first.received(0, active(10));
    first.received(1, active(3));
    first.received(0, ended);
    const second = new ChannelWatermarks(3);
    second.resume(structuredClone(first.channels), first.watermark);
    second.received(2, idle(noTime));
    expect(second.received(1, idle(3))).toEqual(idle(10));
  });
});

interface Visit {
  readonly page: string;
  readonly at: number;
}

const definition = defineJob(
  "visits",
  (env) => {
    env
      .from(topic<Visit>("visits", { partitions: 1 }), {
        uid: "visits",
        watermarks: boundedOutOfOrderness(0, { timestamp: "at", idleness: 100 }),
      })
      .keyBy("page")
      .window(tumbling(10))
      .aggregate({ n: count() }, { uid: "windows" })
      .map(({ n }) => ({ n }), { uid: "numbers" })
      .to(table("counts", { key: ({ n }) => n }), { uid: "out", parallelism: 2 });
  },
  { parallelism: 1, bufferTimeout: 0 },
);

test("who has become idle says so behind the event time it came to and what that made", () => {
  const { graph } = definition;
  const plan = planOf(graph);
  const vertex = plan.vertices.find(({ operators }) => operators.includes("windows"))!;
  expect(vertex.operators).toEqual(["windows", "numbers"]);
  const deployment: TaskDeployment = {
    job: jobIdFrom(new Uint8Array(16)),
    attempt: attempt(1),
    task: { vertex: vertex.id, index: 0 },
    plan,
    config: graph.config,
  };
  const now = millis(0);
  const task = new Task(deployment, graph, undefined, now);
  const effects: TaskEffect[] = [...task.start(now)];
  for (const channel of [0, 1]) effects.push(...task.reopened(channel, seq(0), now));
  const batch = encodeRows([{ page: "a", at: 5 }], { timestamps: Float64Array.of(5) });
  const frames = [encodeData(batch), encodeWatermark(idle(20))];
  for (const [at, frame] of frames.entries()) {
    effects.push(...task.receive(0, seq(at), frame, now).effects);
  }

  const pushed = effects.flatMap((effect) => (effect.kind === "push" ? [effect] : []));
  const told = [0, 1].map((to) =>
    pushed.flatMap(({ channel, frame: bytes }) => {
      if (channel !== to) return [];
      const frame = decodeFrame(bytes);
      return [frame.kind === "watermark" ? { time: frame.time, isIdle: frame.isIdle } : "rows"];
    }),
  );
  expect(told.filter((own) => own.includes("rows"))).toEqual([["rows", idle(20)]]);
  expect(told.filter((own) => !own.includes("rows"))).toEqual([[idle(20)]]);
});
