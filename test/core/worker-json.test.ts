import { describe, expect, test } from "vitest";

import { withCompleted } from "../../coordinator/checkpoint-totals.ts";
import { attempt, checkpointId, isJobId, millis } from "../../format/ids.ts";
import type {
  CheckpointOverview,
  CheckpointRecord,
  CheckpointTotals,
  JobDetails,
  JobHealth,
} from "../../format/job-status.ts";
import type { JobPhase, JobSummary } from "../../format/messages.ts";
import type { ExecutionPlan } from "../../format/plan.ts";
import { encodeValue } from "../../format/value.ts";
import { jobConfig } from "../../stream/config.ts";
import {
  checkpointingStatistics,
  healthInfo,
  healthOfSummary,
  jobDetailsInfo,
  jobOverview,
} from "../../worker/flink-json.ts";
import { jsonOf } from "../../worker/row-json.ts";

describe("rows as JSON", () => {
  test.each<[string, unknown, unknown]>([
    ["bigint", 2n ** 70n, "1180591620717411303424"],
    ["NaN", { a: NaN, b: -Infinity }, { a: "NaN", b: "-Infinity" }],
    ["dates", [new Date(0), new Date(NaN)], ["1970-01-01T00:00:00.000Z", "Invalid Date"]],
    ["maps", new Map<unknown, unknown>([[{ a: 1 }, 1n]]), [[{ a: 1 }, "1"]]],
    ["sets", new Set([1, undefined]), [1, null]],
    ["bytes", new Uint8Array([104, 105]), "aGk="],
    ["other typed arrays", new Float64Array([1.5, NaN]), [1.5, "NaN"]],
    ["undefined", { a: undefined, b: [undefined] }, { b: [null] }],
    ["nothing", undefined, null],
  ])("%s can be read", (_, value, expected) => {
    expect(jsonOf(value)).toEqual(expected);
  });

  test("a value inside itself is cut there, a shared one is not", () => {
    const shared = { n: 1 };
    const row: Record<string, unknown> = { a: shared, b: shared };
    row["self"] = row;
    expect(jsonOf(row)).toEqual({ a: { n: 1 }, b: { n: 1 }, self: "[circular]" });
  });

  test("what JSON can carry stands as it is, a key __proto__ too", () => {
    const row: unknown = JSON.parse('{"__proto__":{"a":[1,"x",true,null]}}');
    expect(JSON.stringify(jsonOf(row))).toBe(JSON.stringify(row));
  });
});

const job = "ab".repeat(16);
if (!isJobId(job)) throw new Error("unreachable");

const summaryIn = (phase: JobPhase): JobSummary => ({
  job,
  program: "flights",
  phase,
  startTime: millis(1_000),
  endTime: -1,
  lastModification: millis(1_500),
  tasks: { total: 4, running: 1 },
});

const plan: ExecutionPlan = {
  program: "flights",
  fingerprint: "f",
  maxParallelism: 128,
  vertices: [
    { id: "v1", name: "Source: a -> <b>", parallelism: 2, operators: ["a", "b"] },
    { id: "v2", name: "c", parallelism: 2, operators: ["c"] },
  ],
  edges: [
    { id: 0, from: "v1", fromUid: "b", to: "v2", toUid: "c", input: 0, partitioning: "hash" },
    {
      id: 1,
      from: "v1",
      fromUid: "b",
      to: "v2",
      toUid: "c",
      input: 0,
      partitioning: "rebalance",
      tag: "late",
    },
  ],
};

describe("jobs", () => {
  test("an overview counts all subtasks", () => {
    const tasks = (phase: JobPhase) => jobOverview(summaryIn(phase), undefined, 2_000).tasks;
    expect(tasks("RUNNING")).toMatchObject({ running: 1, initializing: 3, total: 4 });
    expect(tasks("CANCELED")).toMatchObject({ running: 1, canceled: 3, total: 4 });
    expect(jobOverview(summaryIn("RUNNING"), undefined, 2_000)).toMatchObject({
      duration: 1_000,
      "end-time": -1,
    });
  });

  test.each<[string, JobHealth | undefined, object]>([
    ["healthy", { dueBy: millis(2_000) }, { "last-checkpoint-age": null, "late-in": 0 }],
    [
      "late",
      { lastCheckpoint: millis(500), dueBy: millis(1_999) },
      { "last-checkpoint-age": 1_500, "late-in": -1 },
    ],
    [
      "idle",
      { lastCheckpoint: millis(500), isResting: true },
      { "last-checkpoint-age": 1_500, "late-in": null },
    ],
    ["none", {}, { "last-checkpoint-age": null, "late-in": null }],
    ["unknown", undefined, { "last-checkpoint-age": null, "late-in": null }],
  ])("the health of a job is %s", (status, health, expected) => {
    expect(healthInfo(health, 2_000)).toEqual({ status, ...expected });
    expect(jobOverview(summaryIn("RUNNING"), health, 2_000)["health"]).toEqual({
      status,
      ...expected,
    });
  });

  test("a summary tells the health of what has ended or rests, and of nothing else", () => {
    const lastCheckpoint = millis(1_400);
    expect(healthOfSummary(summaryIn("RUNNING"))).toBeUndefined();
    const resting = { ...summaryIn("RUNNING"), isResting: true, lastCheckpoint } as const;
    expect(healthOfSummary(resting)).toEqual({ isResting: true, lastCheckpoint });
    expect(healthOfSummary({ ...summaryIn("FAILED"), endTime: 1_500 })).toEqual({});
  });

  test("details join vertices and plan, and fill every map", () => {
    const metrics = {
      recordsIn: 5,
      recordsOut: 4,
      bytesIn: 50,
      bytesOut: 40,
      recordsDropped: 2,
      recordsDeadLettered: 1,
      backPressuredTime: 300,
    };
    const details: JobDetails = {
      summary: summaryIn("RUNNING"),
      attempt: attempt(2),
      plan,
      config: jobConfig(),
      health: { lastCheckpoint: millis(1_800), dueBy: millis(2_500) },
      entered: { INITIALIZING: millis(1_000), RUNNING: millis(1_100) },
      tasks: [
        {
          task: { vertex: "v1", index: 0 },
          phase: "RUNNING",
          attempt: attempt(2),
          started: millis(1_050),
          metrics,
        },
        {
          task: { vertex: "v1", index: 1 },
          phase: "INITIALIZING",
          attempt: attempt(2),
          started: millis(1_040),
        },
        {
          task: { vertex: "v2", index: 0 },
          phase: "RUNNING",
          attempt: attempt(2),
          started: millis(1_050),
          metrics,
        },
        {
          task: { vertex: "v2", index: 1 },
          phase: "RUNNING",
          attempt: attempt(2),
          started: millis(1_060),
          metrics,
        },
      ],
      failures: [],
      rescales: [],
    };
    const info = jobDetailsInfo(details, 2_000);
    expect(info).toMatchObject({
      jid: job,
      health: { status: "healthy", "last-checkpoint-age": 200, "late-in": 500 },
      timestamps: { RUNNING: 1_100, FAILED: 0, CREATED: 0 },
      "status-counts": { RUNNING: 1, INITIALIZING: 1, FAILED: 0 },
      vertices: [
        { id: "v1", status: "INITIALIZING", "start-time": 1_040, duration: 960 },
        { id: "v2", status: "RUNNING", tasks: { RUNNING: 2, CREATED: 0 } },
      ],
      plan: {
        type: "STREAMING",
        nodes: [
          { id: "v1", description: "Source: a -&gt; &lt;b&gt;", inputs: [] },
          {
            id: "v2",
            inputs: [
              { num: 0, id: "v1", ship_strategy: "HASH" },
              { num: 1, id: "v1", ship_strategy: "REBALANCE", side_output: "late" },
            ],
          },
        ],
      },
    });
    expect(info.plan.nodes[1]!.inputs[0]).not.toHaveProperty("side_output");
    const [first, second] = info.vertices;
    expect(first?.metrics).toMatchObject({ "read-records": 5, "read-records-complete": false });
    expect(second?.metrics).toMatchObject({
      "read-records": 10,
      "read-records-complete": true,
      "dropped-records": 4,
      "dead-letter-records": 2,
      "accumulated-backpressured-time": 600,
    });
  });
});

describe("checkpoints", () => {
  const record = (id: number, acked: number, outcome: CheckpointRecord["outcome"]) => ({
    id: checkpointId(id),
    attempt: attempt(1),
    triggered: millis(1_000),
    acks: [0, 1].slice(0, acked).map((index) => ({
      task: { vertex: "v1", index },
      at: millis(1_010 + index),
      metrics: { alignment: 1, syncDuration: 2, asyncDuration: 3, bytes: 10, stateBytes: 100 },
    })),
    outcome,
  });
  const completed = record(1, 2, { kind: "completed", path: "jobs/x/chk-1", discarded: false });
  const overview: CheckpointOverview = {
    plan,
    config: jobConfig(),
    counts: { restored: 1, completed: 7, failed: 2, pending: 1 },
    latest: { completed: completed as CheckpointOverview["latest"]["completed"] & object },
    history: [
      record(3, 0, { kind: "pending" }),
      record(2, 1, { kind: "failed", at: millis(1_600), message: "Expired." }),
      completed,
    ],
  };

  test("have every field of Flink's, -1 for what is not yet", () => {
    const { counts, history, latest } = checkpointingStatistics(overview);
    expect(counts).toEqual({ restored: 1, total: 10, in_progress: 1, completed: 7, failed: 2 });
    const common = { is_savepoint: false, num_subtasks: 4, checkpoint_type: "CHECKPOINT" };
    expect(history).toMatchObject([
      { ...common, status: "IN_PROGRESS", latest_ack_timestamp: -1, end_to_end_duration: -1 },
      {
        ...common,
        status: "FAILED",
        num_acknowledged_subtasks: 1,
        end_to_end_duration: 600,
        failure_message: "Expired.",
      },
      {
        ...common,
        status: "COMPLETED",
        latest_ack_timestamp: 1_011,
        end_to_end_duration: 11,
        checkpointed_size: 20,
        state_size: 200,
        external_path: "jobs/x/chk-1",
      },
    ]);
    expect(latest).toMatchObject({ completed: { id: 1 }, failed: null, restored: null });
  });

  test("the summary is over the completed ones", () => {
    const stateSize = (of: CheckpointOverview) => checkpointingStatistics(of).summary.state_size;
    expect(stateSize(overview)).toMatchObject({
      min: 200,
      max: 200,
      avg: 200,
      p50: 200,
      p999: 200,
    });
    expect(stateSize({ ...overview, history: [] })).toMatchObject({ min: 0, p99: 0 });
    const of = { min: 50, max: 900, sum: 2_100 };
    const totals = { count: 7, size: of, state: of, duration: of };
    expect(stateSize({ ...overview, totals })).toMatchObject({
      min: 50,
      max: 900,
      avg: 300,
      p50: 200,
    });
  });

  test("the percentiles of the summary are of all, however many the history has", () => {
    const record = (value: number): CheckpointRecord => {
      const own = overview.history.find(({ outcome }) => outcome.kind === "completed")!;
      const acks = own.acks.slice(0, 1).map((ack) => {
        return { ...ack, at: own.triggered, metrics: { ...ack.metrics, stateBytes: value } };
      });
      return { ...own, acks: acks as never };
    };
    let totals: CheckpointTotals | undefined;
    for (let value = 1; value <= 5_000; value++) totals = withCompleted(totals, record(value * 7));
    const { state_size: told } = checkpointingStatistics({ ...overview, totals: totals! }).summary;
    expect(told).toMatchObject({ min: 7, max: 35_000 });
    const shares = { p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99, p999: 0.999 } as const;
    for (const [name, share] of Object.entries(shares)) {
      const off = told[name as keyof typeof shares] / (share * 35_000);
      expect(Math.abs(off - 1)).toBeLessThan(0.011);
    }
    // It is in the job's record, which is written with every event.
    expect(encodeValue(totals!.state).length).toBeLessThan(8_000);
    const { sketch: _, ...before } = totals!.state;
    const later = withCompleted({ ...totals!, state: before }, record(1));
    expect(later.state).not.toHaveProperty("sketch");
  });
});
