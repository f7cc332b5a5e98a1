// Back pressure of a vertex as Flink tells it: for each subtask the share of time in which it had
// input and its outputs had no room, and by that how bad it is. How busy and how idle it was nobody
// knows here. Left out, those ratios would be zero to Flink's clients, so they are what Flink writes
// for a number that it does not know.

import type { TaskStatus } from "../../format/job-status.ts";
import type { BackPressureLevel, VertexBackPressure } from "../contract/flink-schemas.ts";

const notKnown = "NaN" as const;

/** Flink's answer while it has no measurements. */
const unknown: VertexBackPressure = {
  status: "deprecated",
  backpressureLevel: null,
  "backpressure-level": null,
  "end-timestamp": null,
  subtasks: null,
};

export function vertexBackPressure(tasks: readonly TaskStatus[]): VertexBackPressure {
  const known = tasks.flatMap(({ task, rates }) => (rates ? [{ subtask: task.index, rates }] : []));
  if (known.length === 0) return unknown;
  const subtasks = known.map(({ subtask, rates }) => {
    const ratio = rates.backPressured / 1_000;
    return { subtask, ...levelOf(ratio), ratio, idleRatio: notKnown, busyRatio: notKnown };
  });
  return {
    status: "ok",
    ...levelOf(Math.max(...subtasks.map(({ ratio }) => ratio))),
    "end-timestamp": Math.max(...known.map(({ rates }) => rates.at)),
    subtasks,
  };
}

/** By Flink's bounds, under both of its spellings. */
function levelOf(
  ratio: number,
): Record<"backpressureLevel" | "backpressure-level", BackPressureLevel> {
  const level = ratio <= 0.1 ? "ok" : ratio <= 0.5 ? "low" : "high";
  return { backpressureLevel: level, "backpressure-level": level };
}
