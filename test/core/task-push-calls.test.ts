import { describe, expect, test } from "vitest";

import { encodeBarrier, encodeData, encodeWatermark } from "../../format/frame.ts";
import { checkpointId, seq } from "../../format/ids.ts";
import { inCalls } from "../../task/push-calls.ts";
import type { TaskEffect } from "../../task/task-effect.ts";

const rows = encodeData(new Uint8Array(8));
const barrier = encodeBarrier(checkpointId(1));
const watermark = encodeWatermark({ time: 7, isIdle: false });

const push = (channel: number, number: number, frame: Uint8Array): TaskEffect => {
  return { kind: "push", channel, seq: seq(number), frame };
};
const call = (channel: number, number: number, ...frames: readonly Uint8Array[]) => {
  return { kind: "pushes", channel, seq: seq(number), frames };
};

describe("the calls that frames leave in", () => {
  test("marks go with the rows before them, and with one another (C1, C2)", () => {
    const effects = [
      push(0, 3, rows),
      push(0, 4, watermark),
      push(0, 5, barrier),
      push(1, 0, barrier),
      push(1, 1, watermark),
    ];
    expect(inCalls(effects)).toEqual([
      call(0, 3, rows, watermark, barrier),
      call(1, 0, barrier, watermark),
    ]);
  });

  test("rows begin a call of their own (C2)", () => {
    const effects = [push(0, 0, rows), push(0, 1, rows), push(0, 2, barrier), push(0, 3, rows)];
    expect(inCalls(effects)).toEqual([
      call(0, 0, rows),
      call(0, 1, rows, barrier),
      call(0, 3, rows),
    ]);
  });

  test("whatever stands between two pushes stays there", () => {
    const release: TaskEffect = { kind: "release", channel: 0, seq: seq(9) };
    const effects = [push(0, 0, rows), release, push(0, 1, barrier), release];
    expect(inCalls(effects)).toEqual([call(0, 0, rows), release, call(0, 1, barrier), release]);
  });
});
