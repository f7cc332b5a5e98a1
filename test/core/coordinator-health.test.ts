// Health is the age of the last completed checkpoint, not that the process is up.

import { expect, test } from "vitest";
import { healthInfo } from "../../worker/flink-json.ts";
import { type DriverOptions, JobDriver } from "./job-driver.ts";

const second = 1_000;
const options: DriverOptions = {
  checkpointing: { interval: 10 * second, timeout: 5 * second, tolerableFailures: 1_000 },
  restart: { attempts: 1_000, delay: second },
};
const statusOf = (driver: JobDriver): unknown =>
  healthInfo(driver.job.details().health, driver.now)["status"];

test("a job is late when interval and timeout have passed since its last checkpoint", () => {
  const driver = new JobDriver(options);
  driver.deployAll();
  driver.advance(15 * second);
  expect(statusOf(driver)).toBe("healthy");
  driver.advance(1);
  expect(statusOf(driver)).toBe("late");
  driver.complete();
  expect(statusOf(driver)).toBe("healthy");
  expect(driver.job.health().lastCheckpoint).toBe(driver.now);
  driver.advance(15 * second + 1);
  expect(statusOf(driver)).toBe("late");
});

test("a job that fails again and again is late, however often it comes up", () => {
  const driver = new JobDriver(options);
  for (let round = 0; round < 6; round++) {
    driver.deployAll();
    expect(driver.record.phase).toBe("RUNNING");
    driver.advance(2 * second);
    driver.fail();
    driver.advance(second);
  }
  expect(statusOf(driver)).toBe("late");
});

test("the pause counts where it is longer than the interval", () => {
  const { timeout } = options.checkpointing ?? {};
  const driver = new JobDriver({
    ...options,
    checkpointing: { interval: second, minPause: 30 * second, timeout: timeout! },
  });
  driver.deployAll();
  expect(driver.job.health().dueBy).toBe(driver.now + 35 * second);
});

test("nobody waits for a checkpoint of a job that takes none, or has ended", () => {
  const none = new JobDriver({ checkpointing: { interval: undefined } });
  none.deployAll();
  expect(statusOf(none)).toBe("none");
  const ended = new JobDriver(options);
  ended.deployAll();
  ended.cancel();
  expect(statusOf(ended)).toBe("none");
});

test("a job that rests is idle, and on time when it wakes", () => {
  const driver = new JobDriver({ checkpointing: { interval: 30 * second, timeout: 5 * second } });
  driver.deployAll();
  const id = driver.complete();
  driver.activityOf = () => ({ isIdle: true, cleanSince: id });
  driver.advance(12 * second);
  expect(statusOf(driver)).toBe("idle");
  driver.sleep(100 * second);
  expect(statusOf(driver)).toBe("idle");
  driver.activityOf = () => ({ isIdle: false });
  driver.active();
  expect(statusOf(driver)).toBe("healthy");
  driver.advance(36 * second);
  expect(statusOf(driver)).toBe("late");
});
