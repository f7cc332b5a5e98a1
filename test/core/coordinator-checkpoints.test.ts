// Checkpoints of a running job: trigger, acknowledge, publish, complete, abort, retain, collect.
// Names in front of a colon are Flink's tests.

import { describe, expect, test } from "vitest";

import { Checkpoints, emptyLedger, historyMax } from "../../coordinator/checkpoints.ts";
import { collectable } from "../../coordinator/retention.ts";
import {
  attempt,
  type CheckpointId,
  checkpointId,
  jobIdFrom,
  millis,
  type TaskId,
  taskKey,
} from "../../format/ids.ts";
import { inlineManifestBytesMax, MiB } from "../../format/limits.ts";
import { decodeManifest } from "../../format/manifest.ts";
import type { CheckpointAck } from "../../format/messages.ts";
import { manifestPath, snapshotPath } from "../../format/paths.ts";
import { plainSchema } from "../../format/segment.ts";
import { filesOf } from "../../format/state-handle.ts";
import { type Auto, type DriverOptions, JobDriver, metadataOf } from "./job-driver.ts";

const second = 1_000;

function running(
  checkpointing: DriverOptions["checkpointing"] = {},
  auto?: readonly Auto[],
): JobDriver {
  const driver = new JobDriver({ checkpointing: checkpointing ?? {} }, auto);
  driver.deployAll();
  driver.take();
  return driver;
}

describe("trigger", () => {
  test("CheckpointCoordinatorTriggeringTest: every interval, told to the sources alone", () => {
    const driver = running({ interval: 2 * second });
    driver.advance(1_999);
    expect(driver.all("trigger")).toEqual([]);
    driver.advance(1);
    const [trigger] = driver.all("trigger");
    expect(trigger).toMatchObject({ attempt: 1, checkpoint: 1, tasks: driver.sources });
    expect(driver.sources).toHaveLength(2);
    driver.ackAll();
    driver.answerAll("publish");
    driver.advance(2 * second);
    expect(driver.all("trigger").map(({ checkpoint }) => checkpoint)).toEqual([1, 2]);
  });

  test("the id is spent before anyone hears of it", () => {
    const driver = running();
    driver.advance(second);
    const kinds = driver.kinds();
    expect(kinds.indexOf("persist")).toBeLessThan(kinds.indexOf("trigger"));
    expect(driver.record.checkpoints).toMatchObject({ nextId: 2, open: [{ id: 1, attempt: 1 }] });
  });

  test("CheckpointCoordinatorTest: min pause counts from the end of the one before", () => {
    const driver = running({ interval: second, minPause: 3 * second });
    driver.trigger();
    driver.ackAll();
    driver.advance(2 * second);
    driver.take();
    driver.answerAll("publish");
    driver.advance(2_999);
    expect(driver.all("trigger")).toEqual([]);
    driver.advance(1);
    expect(driver.all("trigger")).toHaveLength(1);
  });

  test("the first after a restart waits for a time drawn between min pause and interval", () => {
    const { config } = running({ interval: 10 * second, minPause: 2 * second });
    const checkpoints = new Checkpoints(config.checkpointing, emptyLedger, [], millis(0));
    const dueAfter = (share?: number): number => {
      checkpoints.restarted(millis(60 * second), share);
      return checkpoints.nextTriggerAt()! - 60 * second;
    };
    expect([0, 0.25, 1, undefined].map(dueAfter)).toEqual([2, 4, 10, 10].map((n) => n * second));
    // A pause that is longer than the interval is waited for as ever.
    const { config: paused } = running({ interval: second, minPause: 3 * second });
    const waiting = new Checkpoints(paused.checkpointing, emptyLedger, [], millis(0));
    waiting.restarted(millis(60 * second), 0);
    expect(waiting.nextTriggerAt()).toBe(61 * second);
  });

  test("a job that begins again has its first one within the interval, whichever attempt it is", () => {
    const interval = 10 * second;
    const driver = running({ interval });
    const waits = [2, 3, 4].map(() => {
      driver.fail();
      driver.advance(second);
      driver.deployAll();
      const { now } = driver;
      driver.trigger();
      return driver.now - now;
    });
    expect(Math.max(...waits)).toBeLessThanOrEqual(interval + 100);
    expect(new Set(waits).size).toBe(3);
    // After the first, there is the whole interval again.
    driver.ackAll();
    driver.answerAll("publish");
    const { now } = driver;
    driver.trigger();
    expect(driver.now - now).toBeGreaterThan(interval - 200);
  });

  test("min pause holds after a failed checkpoint too", () => {
    const driver = running({ interval: second, minPause: 3 * second, tolerableFailures: 9 });
    driver.trigger();
    driver.take();
    driver.decline();
    driver.advance(2_999);
    expect(driver.all("trigger")).toEqual([]);
    driver.advance(1);
    expect(driver.all("trigger")).toHaveLength(1);
  });

  test.each([1, 2, 5])("CheckpointCoordinatorTest: at most %i at once", (maxConcurrent) => {
    const driver = running({ maxConcurrent, timeout: 600 * second });
    driver.advance(20 * second);
    expect(driver.all("trigger")).toHaveLength(maxConcurrent);
    expect(driver.job.overview().counts.pending).toBe(maxConcurrent);
  });

  test("no interval, no checkpoints", () => {
    const driver = running({ interval: undefined });
    driver.advance(600 * second);
    expect(driver.all("trigger")).toEqual([]);
  });

  test("ExecutionTrackingCheckpointCoordinatorDeActivatorTest: only while all subtasks run", () => {
    const driver = new JobDriver();
    driver.answerAll("deploy");
    driver.advance(30 * second);
    driver.answerAll("start");
    driver.take();
    driver.advance(second - 1);
    expect(driver.all("trigger")).toEqual([]);
    driver.fail();
    driver.advance(30 * second);
    expect(driver.all("trigger")).toEqual([]);
  });

  test("CheckpointCoordinatorTriggeringTest: a source that is not reached fails it at once", () => {
    const driver = running({ tolerableFailures: 1 }, ["announce"]);
    driver.trigger();
    const [request] = driver.requests("trigger");
    driver.event((job, now) =>
      job.triggered(
        request!.attempt,
        request!.checkpoint!,
        request!.task,
        { kind: "silent", message: "no route" },
        now,
      ),
    );
    expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: 1, tasks: driver.tasks }]);
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.trigger()).toBe(2);
  });

  test("a source that has lost its memory fails the attempt", () => {
    const driver = running({}, ["announce"]);
    driver.trigger();
    const [{ attempt, checkpoint, task }] = driver.requests("trigger") as [never];
    driver.event((job, now) => job.triggered(attempt, checkpoint, task, { kind: "unknown" }, now));
    expect(driver.record.failures).toMatchObject([{ name: "SubtaskLost", task }]);
  });
});

describe("acknowledgement", () => {
  test("PendingCheckpointTest: complete when every subtask has acknowledged, and not before", () => {
    const driver = running();
    const id = driver.trigger();
    for (const task of driver.tasks.slice(0, -1)) driver.ack(task);
    expect(driver.all("publish")).toEqual([]);
    expect(driver.job.overview().history[0]).toMatchObject({
      id,
      acks: [{}, {}, {}],
      outcome: { kind: "pending" },
    });
    driver.ack(driver.tasks.at(-1)!);
    const [publish] = driver.all("publish");
    expect(publish?.candidate).toMatchObject({ id, path: metadataOf(driver, id) });
    const manifest = decodeManifest(publish!.bytes);
    expect(manifest).toMatchObject({ checkpoint: id, attempt: 1, program: "counts" });
    expect(manifest.tasks).toHaveLength(4);
    expect(publish!.candidate.files.toSorted()).toEqual(
      [publish!.candidate.path, ...manifest.tasks.flatMap(({ state }) => filesOf(state))].sort(),
    );
  });

  test("StreamCheckpointNotifierITCase: subtasks hear of completion when the manifest is there and recorded (J3)", () => {
    const driver = running();
    const id = driver.trigger();
    driver.ackAll();
    expect(driver.all("notifyComplete")).toEqual([]);
    driver.take();
    driver.answerAll("publish");
    expect(driver.kinds().slice(0, 2)).toEqual(["persist", "notifyComplete"]);
    expect(driver.all("notifyComplete")).toMatchObject([{ checkpoint: id, tasks: driver.tasks }]);
    expect(driver.retained).toEqual([id]);
    expect(driver.job.overview()).toMatchObject({
      counts: { completed: 1, failed: 0, pending: 0 },
      latest: { completed: { id, outcome: { path: metadataOf(driver, id), discarded: false } } },
    });
  });

  test("totals are of the whole life, beyond the history and the coordinator's memory", () => {
    const driver = running();
    expect(driver.job.overview().totals).toBe(undefined);
    const durations: number[] = [];
    for (let n = 0; n < historyMax + 5; n++) {
      if (n === historyMax) {
        driver.reload();
        driver.deployAll();
      }
      driver.trigger();
      driver.advance(100 - n);
      driver.ackAll();
      driver.answerAll("publish");
      const { acks, triggered } = driver.job.overview().latest.completed!;
      durations.push(acks.at(-1)!.at - triggered);
    }
    driver.trigger();
    driver.decline();
    const { totals } = driver.job.overview();
    const [most, least] = [Math.max(...durations), Math.min(...durations)];
    const sum = durations.reduce((total, duration) => total + duration, 0);
    expect(totals).toMatchObject({ count: 15, duration: { min: least, max: most, sum } });
    expect(driver.job.overview().history).not.toHaveLength(15);
  });

  test("CheckpointCoordinatorTest: a duplicate acknowledgement changes nothing", () => {
    const driver = running();
    driver.trigger();
    driver.ack(driver.tasks[0]!);
    driver.take();
    for (let times = 0; times < 5; times++) driver.ack(driver.tasks[0]!);
    expect(driver.take()).toEqual([]);
    driver.ackAll();
    driver.ackAll();
    expect(driver.all("publish")).toHaveLength(1);
  });

  test("CheckpointCoordinatorTest: a late acknowledgement changes nothing", () => {
    const driver = running({ tolerableFailures: 5 });
    const aborted = driver.trigger();
    driver.decline();
    const completed = driver.complete();
    driver.take();
    driver.ackAll(aborted);
    driver.ackAll(completed);
    expect(driver.take()).toEqual([]);
  });

  test("CheckpointCoordinatorTest: one of an unknown checkpoint or subtask changes nothing", () => {
    const driver = running();
    const id = driver.trigger();
    driver.take();
    const ack = driver.ackOf(driver.tasks[0]!);
    const strangers: TaskId[] = [
      { vertex: "c".repeat(32), index: 0 },
      { vertex: driver.tasks[0]!.vertex, index: 2 },
    ];
    for (const task of strangers)
      driver.event((job, now) => job.acknowledged({ ...ack, task }, now));
    const future = { ...ack, checkpoint: checkpointId(id + 1) };
    driver.event((job, now) => job.acknowledged(future, now));
    expect(driver.take()).toEqual([]);
    driver.ackAll(id);
    driver.answerAll("publish");
    expect(driver.retained).toEqual([id]);
  });
});

describe("acknowledge names what became of it", () => {
  test("TaskAcknowledgeResult: accepted, duplicate, unknown, late, complete", () => {
    const { config } = running();
    const now = millis(1);
    const checkpoints = new Checkpoints(config.checkpointing, emptyLedger, [], now);
    const tasks = running().tasks.slice(0, 2);
    const { id } = checkpoints.trigger(attempt(2), tasks.map(taskKey), now);
    const kindOf = (change: Partial<CheckpointAck>): string => {
      const { state, metrics } = running().ackOf(tasks[0]!, id);
      const ack = {
        attempt: attempt(2),
        checkpoint: id,
        task: tasks[0]!,
        state,
        metrics,
        ...change,
      };
      return checkpoints.acknowledge(ack, now).kind;
    };
    expect(kindOf({ checkpoint: checkpointId(id + 1) })).toBe("late");
    expect(kindOf({ task: { vertex: "w", index: 0 } })).toBe("unknown");
    expect(kindOf({})).toBe("accepted");
    expect(kindOf({})).toBe("duplicate");
    expect(kindOf({ task: tasks[1]! })).toBe("complete");
    expect(kindOf({ task: tasks[1]! })).toBe("duplicate");
    checkpoints.abort(id, "", now, { counted: true });
    expect(kindOf({ task: tasks[1]! })).toBe("late");
  });
});

describe("abort", () => {
  test("NotifyCheckpointAbortedITCase: a decline is told to every subtask, and the next one works", () => {
    const driver = running({ tolerableFailures: 1 });
    const id = driver.trigger();
    driver.ack(driver.tasks[0]!);
    driver.take();
    driver.decline();
    expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: id, tasks: driver.tasks }]);
    const message = `Declined by ${"b".repeat(32)}/0: no room`;
    expect(driver.job.overview().latest.failed).toMatchObject({ id, outcome: { message } });
    driver.decline(id);
    expect(driver.all("notifyAborted")).toHaveLength(1);
    expect(driver.complete()).toBe(id + 1);
  });

  test("CheckpointCoordinatorTest: a timeout ends that checkpoint alone", () => {
    const driver = running({ timeout: 5 * second, tolerableFailures: 1, maxConcurrent: 2 });
    const first = driver.trigger();
    driver.advance(2 * second);
    const second_ = driver.last;
    driver.take();
    driver.advance(2_900);
    expect(driver.all("notifyAborted")).toEqual([]);
    driver.advance(100);
    expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: first }]);
    driver.ackAll(second_);
    driver.answerAll("publish");
    expect(driver.retained).toEqual([second_]);
  });

  test("CheckpointFailureManagerTest: one whose place a newer one took is not counted", () => {
    const driver = running({ maxConcurrent: 2, tolerableFailures: 0 });
    driver.advance(2 * second);
    const [low] = driver.record.checkpoints.open;
    const task = driver.tasks[2]!;
    const decline = { attempt: driver.attempt, checkpoint: low!.id, task, reason: "overtaken" };
    driver.event((job, now) => job.declined({ ...decline, isSuperseded: true }, now));
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: low!.id }]);
  });

  test("CheckpointFailureManagerTest: only more failures in a row than tolerated fail the job", () => {
    const driver = running({ tolerableFailures: 2 });
    for (let failed = 0; failed < 2; failed++) {
      driver.trigger();
      driver.decline();
    }
    driver.complete();
    for (let failed = 0; failed < 2; failed++) {
      driver.trigger();
      driver.decline();
    }
    expect(driver.record).toMatchObject({ phase: "RUNNING", failures: [] });
    driver.trigger();
    driver.decline();
    expect(driver.record).toMatchObject({
      phase: "RESTARTING",
      attempt: 1,
      restartHistory: { restarts: 1 },
    });
    expect(driver.record.failures).toMatchObject([{ name: "CheckpointFailed" }]);
    expect(driver.record.failures[0]?.message).toMatch(/^More than 2 checkpoints in a row failed/);
  });

  test("CheckpointFailureManagerITCase: the job fails exactly once, and a new attempt counts anew", () => {
    const driver = running({ tolerableFailures: 1, maxConcurrent: 3 });
    driver.advance(3 * second);
    for (const { id } of driver.record.checkpoints.open) driver.decline(id);
    expect(driver.record.failures).toHaveLength(1);
    driver.advance(500);
    driver.deployAll();
    driver.trigger();
    driver.decline();
    expect(driver.record.phase).toBe("RUNNING");
  });

  test("FailoverStrategyCheckpointCoordinatorTest: the end of an attempt ends its checkpoints", () => {
    const driver = running({ tolerableFailures: 0 });
    const id = driver.trigger();
    driver.fail();
    expect(driver.record.checkpoints).toMatchObject({ open: [], consecutiveFailures: 0 });
    expect(driver.job.overview().latest.failed).toMatchObject({
      id,
      outcome: { message: "Attempt 1 failed: boom" },
    });
  });
});

describe("the manifest", () => {
  test.each(["unknown", "exists"] as const)(
    "CheckpointCoordinatorFailureTest: %s aborts",
    (kind) => {
      const driver = running({ tolerableFailures: 1 });
      driver.complete();
      const id = driver.trigger();
      driver.ackAll();
      const files = [...driver.bucket.keys()];
      driver.take();
      driver.answerPublish(driver.requests("publish")[0]!, { kind, message: "R2 says 500" });
      expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: id }]);
      expect(driver.job.overview().latest.failed?.outcome.message).toContain("R2 says 500");
      // Nobody can tell whether it stands there, so nothing of it is touched.
      expect(driver.all("deleteFiles")).toEqual([]);
      expect(driver.all("sweep")).toEqual([]);
      expect([...driver.bucket.keys()]).toEqual(files);
      expect(driver.complete()).toBe(id + 1);
    },
  );

  test("reloaded between writing and recording it: there it is, and the checkpoint completes", () => {
    const driver = running();
    const id = driver.trigger();
    driver.ackAll();
    driver.take();
    driver.reload({ landed: true });
    expect(driver.all("probeManifest")).toMatchObject([{ candidate: { id } }]);
    expect(driver.all("notifyComplete")).toEqual([]);
    driver.answerAll("probeManifest");
    expect(driver.retained).toEqual([id]);
    expect(driver.all("notifyComplete")).toMatchObject([{ checkpoint: id, tasks: driver.tasks }]);
    const { latest, counts } = driver.job.overview();
    expect(counts).toMatchObject({ completed: 1, failed: 0 });
    expect(latest.completed).toMatchObject({ id, acks: [{}, {}, {}, {}] });
  });

  test("reloaded before it was written: the checkpoint is aborted, at nobody's cost", () => {
    const driver = running();
    const id = driver.trigger();
    driver.ackAll();
    driver.reload();
    driver.take();
    driver.answerAll("probeManifest");
    expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: id }]);
    expect(driver.record).toMatchObject({ phase: "RUNNING", checkpoints: { retained: [] } });
    expect(driver.complete()).toBe(id + 1);
  });

  test("until the probe has answered no other one is triggered, and a second reload asks again", () => {
    const driver = running();
    const id = driver.trigger();
    driver.ackAll();
    driver.reload({ landed: true });
    driver.advance(5 * second);
    expect(driver.last).toBe(id);
    driver.reload();
    driver.answerAll("probeManifest");
    expect(driver.retained).toEqual([id]);
  });

  test("a job that failed meanwhile does not complete it behind the new attempt's back", () => {
    const driver = running();
    const before = driver.complete();
    const id = driver.trigger();
    driver.ackAll();
    driver.reload({ landed: true });
    driver.fail();
    driver.advance(second);
    driver.deployAll();
    driver.take();
    driver.answerAll("probeManifest");
    expect(driver.all("notifyComplete")).toEqual([]);
    expect(driver.record).toMatchObject({ attempt: 2, lastRestored: { id: before } });
    driver.complete();
    expect(driver.manifests()).not.toContain(metadataOf(driver, id));
  });

  test("a write that never answers is given up in time; what stands there in the end is collected", () => {
    const driver = running({ timeout: 5 * second, tolerableFailures: 1 });
    const id = driver.trigger();
    driver.ackAll();
    const [slow] = driver.requests("publish");
    driver.inFlight = driver.inFlight.filter((each) => each !== slow);
    driver.advance(6 * second);
    expect(driver.job.overview().latest.failed?.id).toBe(id);
    driver.ackAll(driver.last);
    driver.answerAll("publish");
    expect(driver.retained).toEqual([id + 1]);
    driver.answer(slow!);
    expect(driver.bucket.has(metadataOf(driver, id))).toBe(true);
    driver.complete();
    expect(driver.bucket.has(metadataOf(driver, id))).toBe(false);
  });
});

describe("retention", () => {
  test.each([1, 2, 3])(
    "CompletedCheckpointStoreTest, DefaultCompletedCheckpointStoreTest: the last %i stay",
    (retained) => {
      const driver = running({ retained });
      for (let count = 0; count < 5; count++) driver.complete({ full: true });
      expect(driver.retained).toEqual([5, 4, 3].slice(0, retained));
      expect(driver.manifests().sort()).toEqual(
        driver.retained.map((id) => metadataOf(driver, id)).sort(),
      );
      expect(driver.snapshots()).toHaveLength(4 * retained);
      const discarded = driver.job
        .overview()
        .history.map(({ outcome }) => "discarded" in outcome && outcome.discarded);
      expect(discarded).toEqual([5, 4, 3, 2, 1].map((id) => !driver.retained.includes(id)));
    },
  );

  test("CompletedCheckpointTest, SharedStateRegistryTest: a file that a retained checkpoint shares stays", () => {
    const driver = running();
    driver.complete({ full: true });
    driver.complete();
    driver.complete();
    expect(driver.snapshots()).toHaveLength(12);
    driver.complete({ full: true });
    expect(driver.snapshots()).toHaveLength(4);
    expect(driver.manifests()).toHaveLength(1);
  });

  test("IncrementalStateReuseAfterFailureITCase: the failure of n+1 deletes nothing of n", () => {
    const driver = running({ tolerableFailures: 3 });
    driver.complete();
    const files = [...driver.bucket.keys()];
    driver.trigger();
    driver.ack(driver.tasks[0]!);
    driver.take();
    driver.decline();
    expect(driver.all("deleteFiles")).toEqual([]);
    expect(driver.all("sweep")).toEqual([]);
    for (const file of files) expect(driver.bucket.has(file)).toBe(true);
    driver.fail();
    driver.advance(second);
    driver.deployAll();
    for (const file of files) expect(driver.bucket.has(file)).toBe(true);
  });

  test.each([false, true])(
    "files of an aborted one go once a later one completes; reload: %s",
    (reload) => {
      const driver = running({ tolerableFailures: 3 });
      const id = driver.trigger();
      driver.ack(driver.tasks[0]!);
      driver.decline();
      if (reload) driver.reload();
      const path = snapshotPath(driver.record.job, id, driver.attempt, driver.tasks[0]!);
      expect(driver.bucket.has(path)).toBe(true);
      driver.complete({ full: true });
      expect(driver.bucket.has(path)).toBe(false);
      driver.take();
      driver.complete({ full: true });
      expect(driver.all("sweep")).toEqual([]);
      expect(driver.all("deleteFiles")).toHaveLength(1);
    },
  );

  test("IncrementalRemoteKeyedStateHandleTest: a file that the next one builds on stays, though its checkpoint was aborted", () => {
    const driver = running({ tolerableFailures: 3 });
    const id = driver.trigger();
    driver.ack(driver.tasks[0]!);
    driver.decline();
    driver.complete();
    const path = snapshotPath(driver.record.job, id, driver.attempt, driver.tasks[0]!);
    expect(driver.bucket.has(path)).toBe(true);
  });

  test("nothing above the completed one is touched", () => {
    const driver = running({ maxConcurrent: 2, tolerableFailures: 3 });
    driver.advance(2 * second);
    const [low, high] = driver.record.checkpoints.open.map(({ id }) => id);
    driver.ack(driver.tasks[0]!, high);
    driver.ackAll(low);
    driver.answerAll("publish");
    expect(
      driver.bucket.has(snapshotPath(driver.record.job, high!, driver.attempt, driver.tasks[0]!)),
    ).toBe(true);
    for (const { upTo } of driver.all("sweep")) expect(upTo).toBe(low);
    driver.ackAll(high);
    driver.answerAll("publish");
    expect(driver.retained).toEqual([high]);
  });

  test("CheckpointCoordinatorTest: completing n ends the pending ones below it (K3)", () => {
    const driver = running({ maxConcurrent: 2 });
    driver.advance(2 * second);
    const [low, high] = driver.record.checkpoints.open.map(({ id }) => id);
    driver.ack(driver.tasks[0]!, low);
    driver.ackAll(high);
    driver.answerAll("publish");
    expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: low }]);
    expect(driver.record.checkpoints).toMatchObject({
      open: [],
      counts: { completed: 1, failed: 1 },
    });
    expect(driver.record.phase).toBe("RUNNING");
    driver.take();
    driver.ackAll(low);
    expect(driver.all("publish")).toEqual([]);
  });

  describe("two that are being published", () => {
    const publishing = (): { driver: JobDriver; low: CheckpointId; high: CheckpointId } => {
      const driver = running({ maxConcurrent: 2 });
      driver.complete();
      driver.advance(2 * second);
      const [low, high] = driver.record.checkpoints.open.map(({ id }) => id);
      driver.ackAll(low);
      driver.ackAll(high);
      expect(driver.requests("publish").map(({ candidate }) => candidate.id)).toEqual([low, high]);
      driver.take();
      return { driver, low: low!, high: high! };
    };

    test("complete in their order", () => {
      const { driver, low, high } = publishing();
      driver.answerAll("publish");
      expect(driver.all("notifyComplete").map(({ checkpoint }) => checkpoint)).toEqual([low, high]);
      expect(driver.job.overview().counts).toMatchObject({ completed: 3, failed: 0 });
    });

    test("the later one first: the earlier is over, and its manifest goes (K3)", () => {
      const { driver, low, high } = publishing();
      const [first, second] = driver.requests("publish");
      driver.answer(second!);
      driver.answer(first!);
      expect(driver.all("notifyComplete")).toMatchObject([{ checkpoint: high }]);
      expect(driver.all("notifyAborted")).toMatchObject([{ checkpoint: low }]);
      expect(driver.retained).toEqual([high]);
      driver.complete();
      expect(driver.manifests()).toHaveLength(1);
    });

    test.each([
      ["both", [0, 1], "high"],
      ["the earlier", [0], "low"],
      ["the later", [1], "high"],
      ["neither", [], "none"],
    ] as const)("survive a crash of the coordinator: %s had landed", (_, landed, latest) => {
      const { driver, low, high } = publishing();
      const before = driver.retained;
      const requests = driver.requests("publish");
      for (const at of landed) {
        const { candidate, bytes } = requests[at]!;
        driver.bucket.set(candidate.path, bytes);
      }
      driver.reload();
      expect(driver.requests("probeManifest").map(({ candidate }) => candidate.id)).toEqual([
        low,
        high,
      ]);
      driver.answerAll("probeManifest");
      const expected = { high: [high], low: [low], none: before }[latest];
      expect(driver.retained).toEqual(expected);
      expect(driver.record.checkpoints).toMatchObject({ open: [], publishing: [] });
      expect(driver.record.phase).toBe("RUNNING");
      const next = driver.complete();
      expect(driver.retained).toEqual([next]);
      expect(driver.manifests()).toHaveLength(1);
    });
  });

  test("CheckpointCoordinatorTriggeringTest: after a short one at the interval, after a long one after the pause", () => {
    const driver = running({ interval: 10 * second, minPause: 4 * second });
    const triggered: number[] = [];
    const wait = (): void => {
      driver.trigger();
      triggered.push(driver.record.checkpoints.open[0]!.triggeredAt);
    };
    const finish = (after: number): void => {
      driver.advance(after);
      driver.ackAll();
      driver.answerAll("publish");
    };
    wait();
    finish(1 * second);
    wait();
    finish(9 * second);
    wait();
    finish(6 * second);
    wait();
    expect(triggered.map((at, n) => at - (triggered[n - 1] ?? at))).toEqual([
      0,
      10 * second,
      13 * second,
      10 * second,
    ]);
  });

  test("in the coordinator: one that is too large fails, says so, and the next may fit", () => {
    const driver = running({ storage: "inline", tolerableFailures: 1 });
    driver.trigger();
    for (const task of driver.tasks) {
      const ack = driver.ackOf(task);
      const metrics = { ...ack.metrics, stateBytes: inlineManifestBytesMax / 4 + 1 };
      driver.event((job, now) => job.acknowledged({ ...ack, metrics }, now));
    }
    expect(driver.all("publish")).toEqual([]);
    expect(driver.job.overview().latest.failed?.outcome).toMatchObject({
      message:
        'Its state is 16777220 bytes, and with checkpointing.storage "inline" the coordinator ' +
        'takes 16777216. Set it to "r2".',
    });
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.complete({ full: true })).toBe(driver.last);
  });

  test("with more in its manifest than a deployment can carry it fails, and says what to lower", () => {
    const driver = running({ inlineThreshold: 1 * MiB, tolerableFailures: 1 });
    driver.trigger();
    for (const task of driver.tasks) {
      const bytes = { kind: "inline" as const, bytes: new Uint8Array(6 * MiB) };
      const ack = driver.ackOf(task);
      const offsets = { uid: "in", state: "offsets", redistribution: "union" as const };
      const operator = [{ ...offsets, schema: plainSchema, elements: 1, bytes }];
      driver.event((job, now) => job.acknowledged({ ...ack, state: { keyed: [], operator } }, now));
    }
    expect(driver.all("publish")).toEqual([]);
    expect(driver.job.overview().latest.failed?.outcome).toMatchObject({
      message: expect.stringMatching(
        /^Its manifest is 33\d+ bytes.*inlineThreshold, which is 1048576/,
      ),
    });
    expect(driver.complete({ full: true })).toBe(driver.last);
  });

  test("what a replaced attempt writes late is collected by the next one", () => {
    const driver = running();
    driver.complete({ full: true });
    driver.fail();
    driver.advance(second);
    driver.deployAll();
    const late = snapshotPath(driver.record.job, checkpointId(1), driver.attempt, {
      vertex: "d".repeat(32),
      index: 0,
    });
    driver.bucket.set(late, new Uint8Array());
    driver.complete({ full: true });
    expect(driver.bucket.has(late)).toBe(false);
  });

  test("memory of files does not grow: a job without failures never lists the bucket", () => {
    const driver = running();
    for (let count = 0; count < 50; count++) driver.complete({ full: count % 10 === 0 });
    expect(driver.all("sweep")).toEqual([]);
    expect(driver.manifests()).toHaveLength(1);
    expect(driver.snapshots()).toHaveLength(40);
  });
});

// CheckpointStatsHistoryTest, DefaultCheckpointStatsTrackerTest, PendingCheckpointStatsTest
describe("history", () => {
  test("holds the last few, newest first, the same after a reload", () => {
    const driver = running();
    for (let count = 0; count < 15; count++) driver.complete();
    const ids = driver.job.overview().history.map(({ id }) => id);
    expect(ids).toEqual([15, 14, 13, 12, 11, 10, 9, 8, 7, 6]);
    expect(driver.history).toHaveLength(historyMax);
    const before = driver.job.overview();
    driver.reload();
    expect(driver.job.overview()).toEqual(before);
  });

  test("the last completed one stays in it, however many have failed since", () => {
    const driver = running({ tolerableFailures: 100 });
    const id = driver.complete();
    for (let count = 0; count < 15; count++) {
      driver.trigger();
      driver.decline();
    }
    expect(driver.job.overview().latest.completed?.id).toBe(id);
    driver.reload();
    expect(driver.job.overview().latest.completed?.id).toBe(id);
    expect(driver.job.overview().counts).toEqual({
      completed: 1,
      failed: 15,
      restored: 0,
      pending: 0,
    });
    driver.complete();
    driver.complete();
    expect(driver.history.map((record) => record.id)).not.toContain(id);
  });
});

describe("collectable", () => {
  const job = jobIdFrom(new Uint8Array(16));
  const path = (id: number) => manifestPath(job, checkpointId(id));

  test("is what nothing reaches, up to the completed id, among our own files", () => {
    const paths = [path(1), path(2), path(3), "jobs/other/chk-1/_metadata", "savepoints/1"];
    const reachable = new Set([path(1)]);
    expect(collectable({ job, reachable, upTo: checkpointId(2) }, paths)).toEqual([path(2)]);
  });
});
