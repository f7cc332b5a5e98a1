// What is drawn and printed of measurements.

import { describe, expect, test } from "vitest";

import { curves } from "../../bench/curves.ts";
import { type Profile, selfTimes, stageTimes, stretchesOf } from "../../bench/profile-report.ts";
import { tableOf } from "../../bench/report.ts";

test("a table has a line per figure and per ratio", () => {
  const summary = { median: 1_234_567.8, min: 1, max: 2_000_000 };
  const text = tableOf("limit", {
    figures: { all: { unit: "rows/s", ...summary } },
    ratios: { vsLimit: { median: 0.51234, min: 0.5, max: 1 } },
    cpuRatios: { vsLimit: { median: 0.6, min: 0.5, max: 1 } },
  });
  expect(text.split("\n").map((line) => line.trim().split(/ {2,}/))).toEqual([
    [""],
    ["limit"],
    ["median", "min", "max"],
    ["all", "1,234,568", "1", "2,000,000", "rows/s"],
    ["vsLimit", "0.512", "0.5", "1", "times"],
    ["vsLimit", "0.6", "0.5", "1", "times, by CPU"],
  ]);
});

test("a curve has a point per interval, the greater share above the lesser", () => {
  const share = (median: number) => ({ median, min: median, max: median });
  const svg = curves([
    {
      name: "10MB",
      points: [
        { at: 0.3, share: share(0.5) },
        { at: 10, share: share(1) },
      ],
    },
  ]);
  const [, points = ""] = /polyline points="([^"]*)"/.exec(svg) ?? [];
  const [[x1, y1], [x2, y2]] = points.split(" ").map((point) => point.split(",").map(Number)) as [
    [number, number],
    [number, number],
  ];
  expect(x1).toBeLessThan(x2);
  expect(y1).toBeGreaterThan(y2);
  expect(svg).toContain(">10MB</text>");
});

describe("a profile", () => {
  const frame = (functionName: string, file: string, line = 1) => ({ functionName, file, line });
  const profile: Profile = {
    nodes: [
      { id: 1, frame: frame("(root)", ""), children: [2, 6] },
      { id: 2, frame: frame("#stepSource", "task/task.ts"), children: [3, 4] },
      { id: 3, frame: frame("rows", "format/batch.ts"), children: [5] },
      { id: 4, frame: frame("split", "task/partitioner.ts"), children: [] },
      { id: 5, frame: frame("texts", "format/column.ts"), children: [] },
      { id: 6, frame: frame("(idle)", ""), children: [] },
    ],
    samples: [5, 4, 5, 2, 6],
    timeDeltas: [10, 20, 30, 5, 1],
  };

  test("counts what a stage calls for that stage (F1)", () => {
    expect(stageTimes(profile)).toEqual([
      ["decode at the source", 40],
      ["partition", 20],
      ["task", 5],
      ["idle", 1],
    ]);
  });

  test("counts a function's own time for itself", () => {
    expect(selfTimes(profile).slice(0, 2)).toEqual([
      ["texts format/column.ts:1", 40],
      ["split task/partitioner.ts:1", 20],
    ]);
  });

  test("tells how long there was something to do without a pause (F2)", () => {
    const samples = [...profile.samples, 5];
    const timeDeltas = [...profile.timeDeltas, 100];
    const { busy, stages } = stretchesOf({ ...profile, samples, timeDeltas }, 20);
    expect(busy).toEqual([65, 40]);
    expect(stages).toEqual([
      ["decode at the source", 40],
      ["decode at the source", 30],
      ["partition", 20],
      ["decode at the source", 10],
      ["task", 5],
    ]);
  });
});
