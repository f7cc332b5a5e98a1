// Checkpoints that somebody asks for, as a job's coordinator decides about them.

import { describe, expect, test } from "vitest";

import { heartbeatInterval } from "../../format/limits.ts";
import { type DriverOptions, JobDriver } from "./job-driver.ts";

const second = 1_000;
const minute = 60 * second;
const [first, other, third] = ["1", "2", "3"].map((digit) => digit.repeat(32)) as [
  string,
  string,
  string,
];

function running(checkpointing: DriverOptions["checkpointing"] = {}): JobDriver {
  const driver = new JobDriver({ checkpointing });
  driver.deployAll();
  driver.take();
  return driver;
}

function completes(driver: JobDriver): void {
  driver.ackAll();
  driver.answerAll("publish");
}

/** Nothing has been processed since the latest checkpoint: the job comes to rest. */
function resting(driver: JobDriver): void {
  driver.activityOf = () => {
    const latest = driver.record.checkpoints.retained[0]?.id;
    return { isIdle: true, ...(latest !== undefined && { cleanSince: latest }) };
  };
  for (let at = 0; at < 4 * heartbeatInterval; at += 100) {
    driver.advance(100);
    if (driver.record.checkpoints.open.length > 0) completes(driver);
  }
  expect(driver.job.details().restingSince).toBeDefined();
  driver.take();
}

const status = (driver: JobDriver, trigger = first) => driver.job.checkpointStatus(trigger);

describe("a checkpoint by hand", () => {
  test("ManualCheckpointITCase: is taken where none are periodic, and commits", () => {
    const driver = running({ interval: undefined });
    expect(driver.checkpoint(first)).toEqual({ kind: "accepted" });
    expect(driver.all("trigger")).toMatchObject([{ checkpoint: 1 }]);
    expect(status(driver)).toEqual({ kind: "inProgress" });
    completes(driver);
    expect(status(driver)).toEqual({ kind: "completed", checkpoint: 1 });
    expect(driver.job.overview().latest.completed?.id).toBe(1);
  });

  test("ManualCheckpointITCase: waits for neither interval nor pause of periodic ones", () => {
    const driver = running({ interval: 10 * minute, minPause: 10 * minute });
    driver.checkpoint(first);
    completes(driver);
    driver.checkpoint(other);
    completes(driver);
    expect([status(driver), status(driver, other)]).toEqual([
      { kind: "completed", checkpoint: 1 },
      { kind: "completed", checkpoint: 2 },
    ]);
  });

  test("waits where no more may be open, and one then serves all that waited", () => {
    const driver = running({ interval: second });
    driver.advance(second);
    driver.checkpoint(first);
    driver.checkpoint(other, "FULL");
    driver.checkpoint(third, "INCREMENTAL");
    expect(driver.last).toBe(1);
    completes(driver);
    expect(driver.all("trigger").at(-1)).toMatchObject({ checkpoint: 2, purpose: "full" });
    completes(driver);
    for (const trigger of [first, other, third]) {
      expect(status(driver, trigger)).toEqual({ kind: "completed", checkpoint: 2 });
    }
  });

  test("waits for a savepoint, and is refused by a job that is being stopped", () => {
    const driver = running({ interval: undefined });
    driver.savepoint(first);
    driver.checkpoint(other);
    expect(driver.last).toBe(1);
    completes(driver);
    completes(driver);
    expect(status(driver, other)).toEqual({ kind: "completed", checkpoint: 2 });
    driver.savepoint(third, "stop");
    expect(driver.checkpoint("4".repeat(32))).toMatchObject({
      kind: "refused",
      reason: expect.stringMatching(/being stopped with savepoint 333/) as string,
    });
  });

  test("fails with its checkpoint, and does not fail the job where none are periodic", () => {
    const driver = running({ interval: undefined, timeout: minute });
    driver.checkpoint(first);
    driver.advance(minute);
    expect(status(driver)).toMatchObject({ kind: "failed", message: /expired/ });
    expect([driver.job.phase, driver.attempt]).toEqual(["RUNNING", 1]);
  });

  test("waits for a job that restarts, and no longer than a checkpoint may take", () => {
    const driver = running({ interval: undefined, timeout: 100 });
    driver.fail(driver.tasks[0]!);
    driver.checkpoint(first);
    expect(status(driver)).toEqual({ kind: "inProgress" });
    driver.advance(100);
    expect(status(driver)).toMatchObject({ kind: "failed", message: /It expired: for 100 ms/ });
  });

  test("is the same request under its trigger id, to another memory and after the end", () => {
    const driver = running({ interval: undefined });
    driver.checkpoint(first);
    expect(driver.checkpoint(first, "FULL")).toMatchObject({ kind: "refused" });
    driver.reload();
    expect(status(driver)).toMatchObject({ kind: "failed", message: /restarted/ });
    driver.checkpoint(other);
    completes(driver);
    expect(driver.checkpoint(other)).toEqual({ kind: "accepted" });
    expect(driver.last).toBe(2);
    driver.cancel();
    driver.answerAll("cancelTasks");
    driver.reload();
    expect(status(driver, other)).toEqual({ kind: "completed", checkpoint: 2 });
    expect(driver.checkpoint(third)).toMatchObject({ kind: "refused" });
  });
});

describe("a job that rests", () => {
  test("has taken it already, and sleeps on", () => {
    const driver = running();
    resting(driver);
    const { last } = driver;
    driver.checkpoint(first);
    driver.checkpoint(other, "INCREMENTAL");
    expect([status(driver), status(driver, other)]).toEqual([
      { kind: "completed", checkpoint: last },
      { kind: "completed", checkpoint: last },
    ]);
    expect(driver.job.details().restingSince).toBeDefined();
    expect(driver.job.nextWakeAt()).toBeUndefined();
  });

  test("wakes up for a full one, and rests again", () => {
    const driver = running();
    resting(driver);
    const { last } = driver;
    driver.checkpoint(first, "FULL");
    expect(driver.all("trigger")).toMatchObject([{ checkpoint: last + 1, purpose: "full" }]);
    expect(driver.job.details().restingSince).toBeUndefined();
    completes(driver);
    expect(status(driver)).toEqual({ kind: "completed", checkpoint: last + 1 });
    resting(driver);
  });
});
