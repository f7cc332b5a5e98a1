// How a job ends with its input, as its coordinator decides about it.

import { describe, expect, test } from "vitest";
import { heartbeatInterval } from "../../format/limits.ts";
import { type Auto, type DriverOptions, JobDriver } from "./job-driver.ts";

const second = 1_000;
const minute = 60 * second;
const trigger = "1".repeat(32);

function running(
  checkpointing: DriverOptions["checkpointing"] = {},
  auto?: readonly Auto[],
): JobDriver {
  const driver = new JobDriver({ checkpointing }, auto);
  driver.deployAll();
  driver.take();
  return driver;
}

/** Every subtask tells that no row will come any more. */
function ends(driver: JobDriver): void {
  for (const task of driver.tasks) {
    driver.event((job, now) => job.ended(driver.attempt, task, now));
  }
}

function completes(driver: JobDriver): void {
  driver.ackAll();
  driver.answerAll("publish");
}

/** Everybody has done all that the last checkpoint prepared. */
function commits(driver: JobDriver): void {
  driver.activityOf = () => {
    const of = { isIdle: true, hasEnded: true } as const;
    if (driver.record.checkpoints.nextId === 1) return of;
    return { ...of, stopped: { checkpoint: driver.last, isCommitted: true } };
  };
}

describe("a job of which the input has ended", () => {
  test("takes a last checkpoint, commits it and is FINISHED", () => {
    const driver = running();
    commits(driver);
    ends(driver);
    expect(driver.all("trigger")).toMatchObject([{ checkpoint: 1, purpose: "final" }]);
    expect(driver.record.phase).toBe("RUNNING");
    completes(driver);
    expect(driver.record.phase).toBe("FINISHED");
    expect(driver.record.checkpoints.retained).toEqual([]);
    expect(driver.all("cancelTasks")).toMatchObject([{ keepsTables: true }]);
    driver.advance(10 * minute);
    expect(driver.all("trigger")).toHaveLength(1);
  });

  test("says that it is finishing to who asks for another size", () => {
    const driver = running();
    ends(driver);
    completes(driver);
    expect(driver.record.phase).toBe("RUNNING");
    const counter = driver.plan.vertices[1]!.id;
    expect(driver.rescale({ [counter]: 3 })).toMatchObject({
      kind: "refused",
      reason: expect.stringMatching(/is finishing: its input has ended, and its last checkpoint/),
    });
  });

  test("does so where no checkpoints are periodic, and learns of the end by heartbeats", () => {
    const driver = running({ interval: undefined });
    commits(driver);
    driver.advance(heartbeatInterval);
    completes(driver);
    expect(driver.record.phase).toBe("FINISHED");
  });

  test("waits for all of its subtasks", () => {
    const driver = running({ interval: undefined });
    const [last, ...others] = driver.tasks;
    for (const task of others) driver.event((job, now) => job.ended(driver.attempt, task, now));
    driver.event((job, now) => job.ended((driver.attempt + 1) as never, last!, now));
    driver.advance(minute);
    expect(driver.all("trigger")).toEqual([]);
  });

  test("lets what is open be over, triggers nothing beside, and takes what was asked for first", () => {
    const driver = running({ maxConcurrent: 3 });
    driver.advance(second);
    driver.savepoint(trigger);
    ends(driver);
    driver.advance(5 * second);
    expect(driver.all("trigger")).toMatchObject([{ checkpoint: 1 }]);
    completes(driver);
    expect(driver.all("trigger").at(-1)).toMatchObject({
      checkpoint: 2,
      purpose: { stops: false },
    });
    completes(driver);
    expect(driver.all("trigger").at(-1)).toMatchObject({ checkpoint: 3, purpose: "final" });
    expect(driver.checkpoint("2".repeat(32))).toEqual({ kind: "accepted" });
    expect(driver.all("trigger")).toHaveLength(3);
    completes(driver);
    expect(driver.savepoint("3".repeat(32))).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("has ended") as string,
    });
  });

  test("tries again where the last checkpoint fails, at the pace of the probes", () => {
    const driver = running({ interval: undefined });
    ends(driver);
    const [task] = driver.tasks;
    const decline = { attempt: driver.attempt, task: task!, checkpoint: driver.last, reason: "no" };
    driver.event((job, now) => job.declined(decline, now));
    expect(driver.all("trigger")).toHaveLength(1);
    driver.advance(heartbeatInterval);
    expect(driver.all("trigger").at(-1)).toMatchObject({ checkpoint: 2, purpose: "final" });
    commits(driver);
    completes(driver);
    expect(driver.record.phase).toBe("FINISHED");
  });

  test.each([false, true])(
    "who is lost behind the last checkpoint commits from it, and nothing else (reload: %s)",
    (isReloaded) => {
      const driver = running();
      driver.activityOf = () => ({
        isIdle: true,
        stopped: { checkpoint: driver.last, isCommitted: false },
      });
      ends(driver);
      completes(driver);
      expect(driver.record.phase).toBe("RUNNING");
      if (isReloaded) driver.reload();
      driver.fail();
      driver.take();
      driver.advance(second);
      driver.answerAll("loadManifest");
      const [deploy] = driver.all("deploy");
      for (const { restore } of deploy!.deployments) {
        expect(restore).toMatchObject({ checkpoint: 1, isStopped: true });
      }
      commits(driver);
      driver.deployAll();
      driver.advance(heartbeatInterval);
      expect(driver.record.phase).toBe("FINISHED");
      expect(driver.record.checkpoints.counts.completed).toBe(1);
    },
  );

  test("goes back behind a last checkpoint that is damaged, and ends again", () => {
    const driver = running({ retained: 2 });
    driver.complete();
    driver.activityOf = () => ({
      isIdle: true,
      stopped: { checkpoint: driver.last, isCommitted: false },
    });
    ends(driver);
    completes(driver);
    driver.fail();
    driver.advance(second);
    const damaged = { damaged: true, message: "it is cut short" };
    driver.event((job, now) => job.manifestFailed(driver.attempt, damaged, now));
    driver.inFlight = driver.inFlight.filter(({ kind }) => kind !== "loadManifest");
    driver.advance(minute);
    driver.answerAll("loadManifest");
    const { restore } = driver.all("deploy").at(-1)!.deployments[0]!;
    expect(restore).toMatchObject({ checkpoint: 1 });
    expect(restore).not.toHaveProperty("isStopped");
  });

  test("does not come to rest instead", () => {
    const driver = running({ interval: undefined });
    driver.activityOf = () => ({ isIdle: true, hasEnded: true });
    driver.advance(3 * heartbeatInterval);
    completes(driver);
    driver.advance(minute);
    expect(driver.record.phase).toBe("RUNNING");
    expect(driver.all("rest")).toEqual([]);
    commits(driver);
    driver.advance(heartbeatInterval);
    expect(driver.record.phase).toBe("FINISHED");
  });
});

describe("a drain that fails", () => {
  test("StopWithSavepointTerminationHandlerImplTest: the job goes on from its latest checkpoint, at no cost", () => {
    const driver = running();
    driver.complete();
    driver.savepoint(trigger, "stop", { drains: true });
    expect(driver.all("trigger").at(-1)).toMatchObject({ purpose: { drains: true, stops: true } });
    const [task] = driver.tasks;
    const decline = { attempt: driver.attempt, task: task!, checkpoint: driver.last, reason: "no" };
    const { restartHistory } = driver.record;
    driver.event((job, now) => job.declined(decline, now));
    expect(driver.record.phase).toBe("RESTARTING");
    expect(driver.record.restartHistory).toEqual(restartHistory);
    expect(driver.record.failures[0]).toMatchObject({ name: "DrainFailed" });
    driver.advance(1);
    expect(driver.all("loadManifest").at(-1)).toMatchObject({ checkpoint: { id: 1 } });
  });

  test("a stop that does not drain and fails ends no attempt", () => {
    const driver = running();
    driver.savepoint(trigger, "stop");
    const [task] = driver.tasks;
    const decline = { attempt: driver.attempt, task: task!, checkpoint: driver.last, reason: "no" };
    driver.event((job, now) => job.declined(decline, now));
    expect(driver.record.phase).toBe("RUNNING");
  });
});
