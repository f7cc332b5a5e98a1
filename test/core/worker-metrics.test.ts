import { describe, expect, test } from "vitest";

import { attempt, checkpointId, isJobId, millis } from "../../format/ids.ts";
import type {
  CheckpointOverview,
  JobDetails,
  TaskRates,
  TaskStatus,
} from "../../format/job-status.ts";
import type { JobSummary } from "../../format/messages.ts";
import { jobConfig } from "../../stream/config.ts";
import { vertexBackPressure } from "../../worker/flink/back-pressure.ts";
import {
  aggregated,
  collected,
  jobMetrics,
  type Metrics,
  taskMetrics,
  vertexWatermarks,
} from "../../worker/flink/metrics.ts";
import { prometheusText } from "../../worker/flink/prometheus.ts";

const job = "ab".repeat(16);
if (!isJobId(job)) throw new Error("unreachable");

const metricsOf = (entries: Readonly<Record<string, number | string>>): Metrics =>
  new Map(Object.entries(entries));

describe("metrics by name", () => {
  const metrics = metricsOf({ numRecordsIn: 5, path: "a/b" });

  test("are listed without one, and valued with one", () => {
    expect(collected(metrics, undefined)).toEqual([{ id: "numRecordsIn" }, { id: "path" }]);
    expect(collected(metrics, [])).toHaveLength(2);
    expect(collected(metrics, ["path", "other", "numRecordsIn"])).toEqual([
      { id: "path", value: "a/b" },
      { id: "numRecordsIn", value: "5" },
    ]);
  });
});

describe("aggregates", () => {
  const all = [2, 4, 12].map((n) => metricsOf({ n, text: "x" }));

  test("are over those that have the metric, as numbers", () => {
    expect(aggregated([...all, metricsOf({})], { get: ["n", "text", "none"] })).toEqual([
      // Mean 6, so the deviations are 4, 2 and 6: their mean is two thirds of it.
      { id: "n", min: 2, max: 12, avg: 6, sum: 18, skew: expect.closeTo(66.67, 2) as number },
    ]);
  });

  test("are those asked for", () => {
    expect(aggregated(all, { get: ["n"], agg: ["max"] })).toEqual([{ id: "n", max: 12 }]);
    expect(aggregated(all, {})).toEqual([{ id: "n" }, { id: "text" }]);
    expect(aggregated([], { get: ["n"] })).toEqual([]);
  });

  test.each<[readonly number[], number]>([
    [[7], 0],
    [[0, 0], 0],
    [[3, 3, 3], 0],
    // One subtask has everything, of four: the deviation is one and a half times the mean.
    [[8, 0, 0, 0], 100],
  ])("the skew of %j is %d", (values, skew) => {
    const given = values.map((n) => metricsOf({ n }));
    expect(aggregated(given, { get: ["n"], agg: ["skew"] })).toEqual([{ id: "n", skew }]);
  });
});

test("watermarks are those of the subtasks that have any, and the end of time is a number", () => {
  const times = [
    {},
    { inputWatermark: 7, outputWatermark: 5, watermarkLag: 3, watermarkAlignmentDrift: 4 },
    { inputWatermark: 2 ** 63 },
  ];
  const tasks = times.map((time, index): TaskStatus => ({
    task: { vertex: "v1", index },
    phase: "RUNNING",
    attempt: attempt(1),
    metrics: { ...counted, ...time },
  }));
  expect(vertexWatermarks(tasks)).toEqual([
    { id: "1.currentInputWatermark", value: "7" },
    { id: "2.currentInputWatermark", value: "9223372036854775807" },
  ]);
  expect(taskMetrics(tasks[0]!).has("numLateRecordsDropped")).toBe(false);
  expect(Object.fromEntries(taskMetrics(tasks[1]!))).toMatchObject({
    currentInputWatermark: 7,
    currentOutputWatermark: 5,
    watermarkLag: 3,
    watermarkAlignmentDrift: 4,
    numLateRecordsDropped: 0,
  });
});

const name = 'say "hi"\\\nthere';

const summary: JobSummary = {
  job,
  program: name,
  phase: "RUNNING",
  startTime: millis(1_000),
  endTime: -1,
  lastModification: millis(1_500),
  lastCheckpoint: millis(1_900),
  tasks: { total: 2, running: 2 },
};

const counted = {
  recordsIn: 5,
  recordsOut: 4,
  bytesIn: 50,
  bytesOut: 40,
  recordsDropped: 2,
  recordsDeadLettered: 1,
  backPressuredTime: 300,
};
const rates: TaskRates = {
  at: millis(1_950),
  recordsIn: 2.5,
  recordsOut: 2,
  bytesIn: 25,
  bytesOut: 20,
  backPressured: 250.4,
};
const plan: JobDetails["plan"] = {
  program: name,
  fingerprint: "f",
  maxParallelism: 128,
  vertices: [{ id: "v1", name: "Source: a", parallelism: 2, operators: ["a"] }],
  edges: [],
};
const details: JobDetails = {
  summary,
  attempt: attempt(3),
  plan,
  config: jobConfig(),
  health: {},
  entered: { RUNNING: millis(1_200) },
  tasks: [
    {
      task: { vertex: "v1", index: 0 },
      phase: "RUNNING",
      attempt: attempt(3),
      metrics: counted,
      rates,
    },
    { task: { vertex: "v1", index: 1 }, phase: "RUNNING", attempt: attempt(3) },
  ],
  failures: [],
  rescales: [],
};
const checkpoints: CheckpointOverview = {
  plan,
  config: jobConfig(),
  counts: { restored: 1, completed: 7, failed: 2, pending: 1 },
  latest: {
    completed: {
      id: checkpointId(9),
      attempt: attempt(3),
      triggered: millis(1_850),
      acks: [
        {
          task: { vertex: "v1", index: 0 },
          at: millis(1_890),
          metrics: { alignment: 0, syncDuration: 1, asyncDuration: 2, bytes: 10, stateBytes: 30 },
        },
      ],
      outcome: { kind: "completed", path: "jobs/x/chk-9", discarded: false },
    },
  },
  history: [],
};

describe("a subtask's metrics", () => {
  const [told, silent] = details.tasks.map((task) => Object.fromEntries(taskMetrics(task)));

  test("are its counts, and how fast they grow", () => {
    expect(told).toMatchObject({
      numRecordsIn: 5,
      numRecordsInPerSecond: 2.5,
      numRecordsOutPerSecond: 2,
      numBytesInPerSecond: 25,
      numBytesOutPerSecond: 20,
      backPressuredTimeMsPerSecond: 250,
    });
    expect(silent).toEqual({});
  });

  test("are those of sources where it has any", () => {
    const [first] = details.tasks;
    const source = { ...first!, metrics: { ...first!.metrics!, pendingRecords: 12 } };
    expect(taskMetrics(source).get("pendingRecords")).toBe(12);
    expect(told).not.toHaveProperty("pendingRecords");
  });

  test("are no rates before they are known, and nothing that nobody can know", () => {
    const [first] = details.tasks;
    const { rates: _, ...counts } = first!;
    const names = [...taskMetrics(counts).keys()];
    expect(names).toContain("numRecordsIn");
    expect(names.filter((name) => name.endsWith("PerSecond"))).toEqual([]);
    expect(Object.keys(told!).filter((name) => /busy|idle/.test(name))).toEqual([]);
  });
});

describe("the back pressure of a vertex", () => {
  const subtask = (index: number, backPressured?: number): TaskStatus => ({
    task: { vertex: "v1", index },
    phase: "RUNNING",
    attempt: attempt(3),
    ...(backPressured !== undefined && {
      rates: { ...rates, at: millis(2_000 + index), backPressured },
    }),
  });

  test("is that of its subtasks by Flink's bounds, and the worst of them", () => {
    const of = (level: string) => ({ backpressureLevel: level, "backpressure-level": level });
    const unknown = { idleRatio: "NaN", busyRatio: "NaN" };
    const tasks = [100, 101, undefined, 500, 501].map((each, index) => subtask(index, each));
    expect(vertexBackPressure(tasks)).toEqual({
      status: "ok",
      ...of("high"),
      "end-timestamp": 2_004,
      subtasks: [
        { subtask: 0, ...of("ok"), ratio: 0.1, ...unknown },
        { subtask: 1, ...of("low"), ratio: 0.101, ...unknown },
        { subtask: 3, ...of("low"), ratio: 0.5, ...unknown },
        { subtask: 4, ...of("high"), ratio: 0.501, ...unknown },
      ],
    });
  });

  test("is told as Flink does before it has measured, where nobody has told it", () => {
    expect(vertexBackPressure([subtask(0)])).toEqual({
      status: "deprecated",
      backpressureLevel: null,
      "backpressure-level": null,
      "end-timestamp": null,
      subtasks: null,
    });
  });
});

describe("a job's metrics", () => {
  test("are Flink's, by the facts", () => {
    const metrics = Object.fromEntries(jobMetrics(details, checkpoints, 2_000));
    expect(metrics).toMatchObject({
      numRestarts: 2,
      uptime: 800,
      runningTime: 800,
      downtime: 0,
      restartingTime: 0,
      totalNumberOfCheckpoints: 10,
      lastCompletedCheckpointId: 9,
      lastCheckpointDuration: 40,
      lastCheckpointSize: 10,
      lastCheckpointFullSize: 30,
      lastCheckpointExternalPath: "jobs/x/chk-9",
      lastCheckpointRestoreTimestamp: -1,
    });
  });

  test("say that it is over, and nothing of a checkpoint that there never was", () => {
    const ended = { ...details, summary: { ...summary, endTime: 1_600 } };
    const metrics = Object.fromEntries(jobMetrics(ended, { ...checkpoints, latest: {} }, 2_000));
    expect(metrics).toMatchObject({ uptime: -1, downtime: -1 });
    expect(metrics).not.toHaveProperty("lastCheckpointDuration");
  });
});

describe("Prometheus", () => {
  const scraped = prometheusText([summary], [{ summary, told: { details, checkpoints } }], 2_000);

  test("reads samples by family, with labels escaped", () => {
    const labels = `job_id="${job}",job_name="say \\"hi\\"\\\\\\nthere"`;
    expect(scraped).toContain(
      "# TYPE flink_jobmanager_job_numRestarts counter\n" +
        `flink_jobmanager_job_numRestarts{${labels}} 2\n`,
    );
    expect(scraped).toContain(
      "# TYPE flink_taskmanager_job_task_numRecordsIn counter\n" +
        `flink_taskmanager_job_task_numRecordsIn{${labels},` +
        'tm_id="746964656d61726b2d776f726b657273",task_id="v1",task_name="Source: a",' +
        'subtask_index="0"} 5\n',
    );
    expect(scraped).toContain("# TYPE flink_taskmanager_job_task_numRecordsInPerSecond gauge\n");
    expect(scraped).toMatch(/^flink_taskmanager_job_task_numRecordsInPerSecond\{.*\} 2\.5$/m);
    expect(scraped).toMatch(/^flink_taskmanager_job_task_backPressuredTimeMsPerSecond\{.*\} 250$/m);
    expect(scraped).toContain(`tidemark_task_numRecordsDropped{${labels}`);
    expect(scraped).toContain("# TYPE flink_jobmanager_job_uptime gauge\n");
    expect(scraped).not.toContain("chk-9");
    expect(scraped.endsWith("\n")).toBe(true);
  });

  test("hears of a subtask only what it has told, of a resting job only what is known", () => {
    expect(scraped).not.toContain('subtask_index="1"');
    const resting = { ...summary, isResting: true } as const;
    const text = prometheusText([resting], [{ summary: resting }], 2_000);
    expect(text).toMatch(/^tidemark_job_resting\{.*\} 1$/m);
    expect(text).toMatch(/^tidemark_job_lastCheckpointTimestamp\{.*\} 1900$/m);
    expect(text).not.toContain("flink_jobmanager_job_");
  });
});
